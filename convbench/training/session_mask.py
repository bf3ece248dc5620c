"""Which token sees which in a training row, and where each token stands.

A row is made of parts. Within a part a token sees itself and what stands before it, as in any decoder; of other parts it sees the
beginnings that the part names, and nothing else. This is what inference reads (``backends.decoder.Reading``: a trunk and branches that
leave it) and one thing more: a branch that leaves a branch, which is the session mask of UniConv (Mo et al. 2025), where a response sees
the tokens that close its session and not the session. The public code of the parent system, ChatRetriever, lets the token right after the
closing tokens see the session; here it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Part:
    """A run of tokens of a row.

    Attributes:
        length: How many.
        sees: What its tokens see of earlier parts, in reading order: (number of the part, how many of its first tokens). The part goes on
            from the last of these tokens.
    """

    length: int
    sees: tuple[tuple[int, int], ...] = ()


def starts(parts: Sequence[Part]) -> list[int]:
    """The place in the row of each part's first token."""
    return [0, *accumulate(part.length for part in parts)][:-1]


def visibility(parts: Sequence[Part]) -> Tensor:
    """Which token sees which: booleans, shape (tokens, tokens), queries before keys; the form that ``masks.additive`` takes."""
    import torch

    first = starts(parts)
    size = sum(part.length for part in parts)
    visible = torch.zeros(size, size, dtype=torch.bool)
    for start, part in zip(first, parts, strict=True):
        rows = slice(start, start + part.length)
        visible[rows, rows] = torch.ones(part.length, part.length, dtype=torch.bool).tril()
        for number, seen in part.sees:
            visible[rows, first[number] : first[number] + seen] = True
    return visible


def positions(parts: Sequence[Part]) -> list[int]:
    """The position of every token: one more than that of the token it goes on from, which need not be the one beside it in the row."""
    first: list[int] = []
    for part in parts:
        first.append(max((first[number] + seen for number, seen in part.sees if seen), default=0))
    return [start + step for start, part in zip(first, parts, strict=True) for step in range(part.length)]


def predicting(parts: Sequence[Part], number: int) -> list[int]:
    """The places in the row that predict a part's tokens and the one after them: the token that it goes on from, then its own tokens.

    Args:
        parts: The row.
        number: The part: a response without its last token; may be empty, where the response is a single token.

    Returns:
        One place more than the part has tokens.
    """
    first = starts(parts)
    before = [first[other] + seen - 1 for other, seen in parts[number].sees if seen][-1]
    return [before, *range(first[number], first[number] + parts[number].length)]
