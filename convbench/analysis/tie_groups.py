"""Groups of systems that the data do not tell apart, instead of bare ranks."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_LETTER = re.compile(r"\(..\)|.")


def tie_groups(order: Sequence[int], separated: Collection[tuple[int, int]]) -> dict[int, str]:
    """Letters for systems: two that share a letter are not told apart (compact letter display; Piepho 2004, insert and absorb).

    Args:
        order: Systems, best first; the first letter goes to the group of the best.
        separated: Pairs that a test tells apart, in either order.

    Returns:
        System -> its letters: ``a``, ``ab``, ``b`` ... (``z`` is followed by ``aa`` in parentheses).
    """
    groups: list[frozenset[int]] = [frozenset(order)]
    for one, other in sorted(separated):
        split: list[frozenset[int]] = []
        for group in groups:
            split += [group - {one}, group - {other}] if {one, other} <= group else [group]
        groups = [group for place, group in enumerate(split) if not _absorbed(group, place, split)]
    rank = {system: place for place, system in enumerate(order)}
    groups.sort(key=lambda group: sorted(rank[system] for system in group))
    return {system: "".join(_letter(number) for number, group in enumerate(groups) if system in group) for system in order}


def share_a_letter(first: str, second: str) -> bool:
    """Whether two systems, by their letters, are not told apart."""
    return bool(set(_LETTER.findall(first)) & set(_LETTER.findall(second)))


def _absorbed(group: frozenset[int], place: int, groups: Sequence[frozenset[int]]) -> bool:
    """Whether another group says all that this one says."""
    return any(group < other or (group == other and earlier < place) for earlier, other in enumerate(groups) if earlier != place)


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"({chr(ord('a') + number // 26 - 1)}{chr(ord('a') + number % 26)})"
