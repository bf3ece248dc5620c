"""Retrieval without a retriever: the gold passages of the conversation's earlier turns, or none at all.

The first is a shortcut, not a system: conversations stay with their topic, so that a turn's gold passage has often been another turn's
before. A retriever that does not do better may have learnt no more than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

from convbench.config import Config
from convbench.retrieval.base import Found
from convbench.systems.base import Row, Unit, Upstream, Workplace
from convbench.systems.stages import found_row
from convbench.types import Ranking, Turn
from convbench.views.evidence import gold_ids


class NoRetrieverConfig(Config):
    """``type: none``: nothing is searched; there is no stage, and the run has no rankings."""

    type: Literal["none"]


class PreviousGoldConfig(Config):
    """``type: previous-gold``; there is nothing to set."""

    type: Literal["previous-gold"]


class PreviousGoldStage:
    """Stands where search stands: the gold passages of earlier turns, those of the newest first, within a turn the best grade first.

    It sees what no system can: the judgements of the earlier turns. Of its own turn it sees nothing. A turn whose conversation has had no
    gold passage yet gets an empty ranking.

    Args:
        k: Depth.
    """

    name = "search"
    version = 1
    batch_size = 4096
    unit: Unit = "turn"

    def __init__(self, k: int) -> None:
        self._k = k
        self._seen: dict[str, tuple[str, ...]] = {}

    def describe(self) -> dict[str, Any]:
        """The depth."""
        return {"k": self._k, "retriever": {"type": "previous-gold"}}

    def check(self, turns: Sequence[Turn]) -> None:
        """Looks at all turns of the run; needed once before ``run``, which may be given them in any order and number."""
        ordered = sorted(turns, key=lambda turn: (turn.conversation_id, turn.number))
        self._seen = {}
        for _, conversation in groupby(ordered, attrgetter("conversation_id")):
            self._seen |= _seen_before(list(conversation))

    def open(self, workplace: Workplace) -> None:
        """Keeps the store: a passage that is not in the collection could not be retrieved either."""
        self._store = workplace.store

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows as those of ``SearchStage``; scores count down."""
        return [found_row(Found(self._ranking(turn))) for turn in turns]

    def _ranking(self, turn: Turn) -> Ranking:
        found = [passage_id for passage_id in self._seen[turn.id] if passage_id in self._store][: self._k]
        return Ranking(turn.id, tuple((passage_id, float(len(found) - index)) for index, passage_id in enumerate(found)))


def _seen_before(conversation: Sequence[Turn]) -> Mapping[str, tuple[str, ...]]:
    """Turn id -> gold passages of the turns before it, newest turn first; a passage stands where it was last seen."""
    seen: dict[str, tuple[str, ...]] = {}
    latest: tuple[str, ...] = ()
    for turn in conversation:
        seen[turn.id] = latest
        latest = tuple(dict.fromkeys((*gold_ids(turn), *latest)))
    return seen
