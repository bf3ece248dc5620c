"""Responses that are a reference of their turn, or nearly: words in another order, one more in front, a letter of another script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from convbench.datasets.plain_words import plain_words
from convbench.leaderboard.look_alikes import look

NEAR = 0.9
"""F1 of words from which on a response is nearly a reference."""

_COMPARED = 40_000
"""Pairs of a response and the references of another turn that chance is estimated from, about."""
_FEWEST = 8


class Answered(NamedTuple):
    """A response and the references of its turn, as ``words_of`` gives them."""

    response: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]


@lru_cache(maxsize=1 << 16)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, sorted, look-alike letters made one; none where it says nothing."""
    return tuple(sorted(plain_words(look(text)).split()))


def is_near(answered: Answered) -> bool:
    """Whether a response is a reference but for the order of its words and few of them."""
    return _near(answered.response, answered.references)


def chance_of(answered: Sequence[Answered]) -> float:
    """How often the same responses are nearly a reference of another turn.

    Every response is compared with the references of every other turn, or, of many turns, with those at some distances.

    Args:
        answered: Responses and references, in the order of the turns.
    """
    count = len(answered)
    if count < 2:
        return 0.0
    step = max(1, (count - 1) // max(_FEWEST, _COMPARED // count))
    shifts = range(1, count, step)
    near = sum(_near(own.response, answered[(place + shift) % count].references) for shift in shifts for place, own in enumerate(answered))
    return near / (count * len(shifts))


def _near(response: tuple[str, ...], references: Sequence[tuple[str, ...]]) -> bool:
    return any(response == reference or _overlaps(response, reference) for reference in references)


def _overlaps(response: tuple[str, ...], reference: tuple[str, ...]) -> bool:
    needed = NEAR * (len(response) + len(reference)) / 2
    if min(len(response), len(reference)) < needed:
        return False
    return sum((Counter(response) & Counter(reference)).values()) >= needed
