"""Slicings by how far a conversation has come: in turns and in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from convbench.analysis.slices.base import bin_of, in_order
from convbench.types import Conversation, Turn, TurnRecord

DEPTHS = (1, 2, 3, 4, 6, 10, 15)
WORDS = (0, 1, 51, 101, 201, 401)


class Depth:
    """The number of the turn."""

    name = "depth"
    title = "Turn depth"
    description = "The number of the turn in its conversation, from 1, by the dataset's numbering."

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> dict[str, str]:
        """1, 2, 3, 4-5, 6-9, 10-14 or 15+."""
        return {turn.id: bin_of(turn.number, DEPTHS) for turn in conversation.turns}

    def order(self, labels: Collection[str]) -> list[str]:
        """Ascending."""
        return in_order(labels)


class HistoryLength:
    """The number of words said before."""

    name = "history-length"
    title = "Length of the history"
    description = "Words (between blanks) of all earlier queries and of the dataset's responses to them, before any view cuts them."

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> dict[str, str]:
        """0, 1-50, 51-100, 101-200, 201-400 or 401+."""
        return {turn.id: bin_of(_words_before(turn), WORDS) for turn in conversation.turns}

    def order(self, labels: Collection[str]) -> list[str]:
        """Ascending."""
        return in_order(labels)


def _words_before(turn: Turn) -> int:
    return sum(len(text.split()) for exchange in turn.history for text in (exchange.query, exchange.response or ""))
