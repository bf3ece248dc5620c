"""Reranking: the passages that a search found, in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convbench.retrieval.rerank import Reranker
from convbench.systems.base import Row, Unit, Upstream, Workplace
from convbench.systems.stages import query_of
from convbench.types import Ranking, Turn


class RerankStage:
    """Stands after search; what it says of a turn takes the place of what search said.

    Args:
        reranker: What orders the passages.
        k: Depth of the ranking that is handed on.
    """

    name = "rerank"
    version = 1
    unit: Unit = "turn"

    def __init__(self, reranker: Reranker, k: int) -> None:
        self._reranker, self._k = reranker, k
        self.batch_size = reranker.batch_size

    def describe(self) -> dict[str, Any]:
        """The reranker and the depth."""
        return {"k": self._k, "reranker": self._reranker.describe()}

    def check(self, turns: Sequence[Turn]) -> None:
        """Passes the check on to the reranker."""
        self._reranker.check()

    def open(self, workplace: Workplace) -> None:
        """Keeps the store to read passages from; loads the reranker's model."""
        self._workplace = workplace
        self._reranker.open(workplace.meter)

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``passages`` as [id, score] in canonical order, none where the search found none."""
        queries = [query_of(turn, upstream) for turn in turns]
        found = [Ranking(turn.id, tuple((id_, score) for id_, score in upstream["search"][turn.id]["passages"])) for turn in turns]
        reranked = self._reranker.rerank(queries, found, self._workplace.store, self._workplace.meter)
        return [{"turn_id": ranking.turn_id, "passages": [list(pair) for pair in ranking.passages[: self._k]]} for ranking in reranked]
