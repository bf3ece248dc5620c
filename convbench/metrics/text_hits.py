"""Hits by text: a passage counts where its title and its text are those of a gold passage, whatever the ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.metrics.base import Measure, Side, signature
from convbench.metrics.relevance import known_passages, score_rankings, success
from convbench.metrics.retrieval import DEPTH
from convbench.retrieval.canonical import TIE_RULE
from convbench.types import Score, Turn, TurnRecord


class TextHitsMetric:
    """TopiOCQA's ``Hits@k`` (``evaluate_retriever.py``): whether one of the first k passages equals the gold one in title **and** text.

    Passages of one text under several ids all count, as they should: ids name places in a corpus, not what is said there. Gold passages
    that the collection lacks can be hit by id only.

    Args:
        cutoffs: The k of every measure.
        depth: Passages of a ranking that count.
    """

    name = "text-hits"
    version = 1
    needs: Side = "ranking"
    reads_passages = True
    batch_size = 512

    def __init__(self, cutoffs: Sequence[int] = (1, 3, 5, 10, 20, 30, 50, 100), depth: int = DEPTH) -> None:
        if not all(1 <= cutoff <= depth for cutoff in cutoffs):
            raise UsageError(f"text-hits: cutoffs {list(cutoffs)}; expected numbers from 1 to the depth of {depth}")
        self._names = {f"Hits@{cutoff}": cutoff for cutoff in cutoffs}
        self._depth = depth
        self._passages: PassageStore | None = None

    def measures(self) -> list[Measure]:
        """Hits@k for every cutoff."""
        parts = {"match": "title+text", "depth": self._depth, "ties": TIE_RULE}
        return [Measure(name, signature(name, **parts)) for name in self._names]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages."""

    def open_passages(self, passages: PassageStore) -> None:
        """The collection, whose texts are compared."""
        self._passages = passages

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; a turn without gold passages has no value, a missing turn or an empty ranking scores 0."""

        def values(turn: Turn, ids: Sequence[str]) -> list[float]:
            gold = {texts[id_] for id_ in turn.gold}
            relevant = [texts[id_] in gold for id_ in ids]
            return [success(relevant, cutoff) for cutoff in self._names.values()]

        texts = self._texts(turns, records)
        return score_rankings(turns, records, list(self._names), self._depth, values)

    def _texts(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> dict[str, tuple[str, str]]:
        """Passage id -> (title, text); an id that the collection lacks stands for itself."""
        retrieved = {id_ for turn in turns if turn.id in records for id_, _ in records[turn.id].passages}
        passages = known_passages(self._passages, retrieved.union(*(turn.gold for turn in turns)))
        return {id_: (passage.title, passage.text) if passage else ("", f"\0{id_}") for id_, passage in passages.items()}
