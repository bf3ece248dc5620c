"""Groups of systems that the data do not tell apart, instead of bare ranks."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_LETTER = re.compile(r"\(..\)|.")


def tie_groups(order: Sequence[int], separated: Collection[tuple[int, int]], most: int | None = None) -> dict[int, str]:
    """Letters for systems: two that share a letter are not told apart.

    The letters are those of the compact letter display (Piepho 2004): a group is a largest set of systems of which no two are told apart.
    Here systems are inserted one by one, and a set that another holds is absorbed.

    Args:
        order: Systems, best first; the first letter goes to the group of the best.
        separated: Pairs that a test tells apart, in either order.
        most: Groups at most: of 2 n systems there can be 2^n.

    Returns:
        System -> its letters: ``a``, ``ab``, ``b`` ... (``z`` is followed by ``aa`` in parentheses); nothing where there are more than
        ``most`` groups.
    """
    apart: dict[int, set[int]] = {system: set() for system in order}
    for one, other in separated:
        apart[one].add(other)
        apart[other].add(one)
    groups: list[frozenset[int]] = []
    for system in order:
        split: list[frozenset[int]] = [frozenset([system])]
        for group in groups:
            split += [group, (group - apart[system]) | {system}]
        groups = [group for place, group in enumerate(split) if not _absorbed(group, place, split)]
        if most is not None and len(groups) > most:  # a further system never makes them fewer
            return {}
    rank = {system: place for place, system in enumerate(order)}
    groups.sort(key=lambda group: sorted(rank[system] for system in group))
    return {system: "".join(_letter(number) for number, group in enumerate(groups) if system in group) for system in order}


def letters_of(letters: str) -> list[str]:
    """The letters of a system, one by one; those beyond the alphabet are two in brackets, ``(aa)``."""
    return _LETTER.findall(letters)


def share_a_letter(first: str, second: str) -> bool:
    """Whether two systems, by their letters, are not told apart."""
    return not set(letters_of(first)).isdisjoint(letters_of(second))


def _absorbed(group: frozenset[int], place: int, groups: Sequence[frozenset[int]]) -> bool:
    """Whether another group says all that this one says."""
    return any(group < other or (group == other and earlier < place) for earlier, other in enumerate(groups) if earlier != place)


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"({chr(ord('a') + number // 26 - 1)}{chr(ord('a') + number % 26)})"
