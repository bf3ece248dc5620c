"""What a slicing is: a rule that gives turns labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from convbench.types import Conversation, TurnRecord

SEPARATOR = "|"
"""Between several labels of one turn, which then counts in the slice of each."""

_NUMBER = re.compile(r"\d+")


@runtime_checkable
class Slicing(Protocol):
    """A rule that gives turns labels.

    Attributes:
        name: Its name in the registry.
        title: For people, the heading of its table.
        description: How a turn gets its label, in one sentence.
    """

    name: str
    title: str
    description: str

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> Mapping[str, str]:
        """The labels of a conversation's turns.

        Args:
            conversation: Its turns in order, with all that the dataset knows of them.
            runs: Turn id -> record, of each compared run, for slicings by what systems did. A run may lack turns.

        Returns:
            Turn id -> label; several labels are joined by ``|``. Turns that are left out have none.
        """

    def order(self, labels: Collection[str]) -> list[str]:
        """The labels in the order of the table's rows.

        Args:
            labels: Those that some turn has, each once.
        """


def in_order(labels: Collection[str], given: Sequence[str] = ()) -> list[str]:
    """Labels in a given order, then those that begin with a number by it (``4-5`` before ``15+``), then the others by the alphabet."""
    places = {label: place for place, label in enumerate(given)}

    def key(label: str) -> tuple[int, int, str]:
        if label in places:
            return 0, places[label], label
        number = _NUMBER.match(label)
        return (1, int(number[0]), label) if number else (2, 0, label)

    return sorted(labels, key=key)


def bin_of(number: int, starts: Sequence[int]) -> str:
    """The bin that a number is in, as a label: ``3``, ``4-5``, ``15+``.

    Args:
        number: At least the first start.
        starts: The least number of each bin, ascending.
    """
    place = sum(start <= number for start in starts) - 1
    if place == len(starts) - 1:
        return f"{starts[place]}+"
    first, last = starts[place], starts[place + 1] - 1
    return str(first) if first == last else f"{first}-{last}"
