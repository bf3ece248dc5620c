"""From a run's records to where the gold passages stand in them: the fast evaluator of rank measures, and what every evaluator is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convbench.metrics.measure_names import RankMeasure
from convbench.metrics.rank_arrays import Judged, measured
from convbench.retrieval.canonical import as_floats, can_be_lowered, canonical
from convbench.types import Turn, TurnRecord


class RankEvaluator(Protocol):
    """Computes rank measures of canonical rankings; built with the measures, the depth of rankings and the lowest relevant grade.

    Attributes:
        engine: What computes.
    """

    engine: str

    def values(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> NDArray[np.float64]:
        """The value of every turn under every measure; 0 where a turn has no gold passage, no record, or an empty ranking.

        Returns:
            Shape (turns, measures).

        Raises:
            RunFileError: A ranking holds a score that is not finite, or a passage twice.
        """


class ArrayEvaluator:
    """Rank measures on arrays, as ``rank_arrays`` computes them.

    No ranking is put in order: the rank of a gold passage is one more than the passages that score higher, or the same with a higher id.

    Args:
        measures: The measures.
        depth: Passages of a ranking that count.
        relevant_from: The lowest grade that counts as relevant.
    """

    engine = "arrays"

    def __init__(self, measures: Sequence[RankMeasure], depth: int, relevant_from: int) -> None:
        self._measures, self._depth, self._relevant_from = measures, depth, relevant_from

    def values(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> NDArray[np.float64]:
        """As ``RankEvaluator`` has it."""
        return measured(self._judged(turns, records), self._measures, self._relevant_from)

    def _judged(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> Judged:
        gold = [(row, grade) for row, turn in enumerate(turns) if turn.gold for grade in sorted(turn.gold.values(), reverse=True)]
        hits = [
            (row, rank, turn.gold[passage_id])
            for row, turn in enumerate(turns)
            if turn.id in records
            for rank, passage_id in ranks_of(turn.gold, turn.id, records[turn.id].passages, self._depth)
        ]
        return Judged(len(turns), *_columns(gold, 2), *_columns(hits, 3))


def ranks_of(wanted: Iterable[str], turn_id: str, passages: Sequence[tuple[str, float]], depth: int) -> list[tuple[int, str]]:
    """The passages among ``wanted`` that the canonical ranking, cut to a depth, holds: (rank from 1, passage id), best first.

    Raises:
        RunFileError: The ranking holds a score that is not finite, or a passage twice.
    """
    known = dict(passages)
    scores = as_floats(known.values())
    if len(known) != len(passages) or not can_be_lowered(scores):
        passages = canonical(turn_id, passages, depth).passages  # says what is wrong; if nothing is, no ties are left
        known = dict(passages)
        scores = as_floats(known.values())
    ties: dict[float, list[tuple[float, str]]] = {}
    ranks = [
        (_above((known[passage_id], passage_id), passages, scores, ties) + 1, passage_id) for passage_id in wanted if passage_id in known
    ]
    return sorted(found for found in ranks if found[0] <= depth)


def _above(
    own: tuple[float, str], passages: Sequence[tuple[str, float]], scores: NDArray[np.float64], ties: dict[float, list[tuple[float, str]]]
) -> int:
    """How many passages stand above one in the canonical order, which need not be made for that.

    Args:
        own: Its score and its id.
        passages: The ranking, in any order.
        scores: Its scores.
        ties: Score -> all (score, id) of that score, ascending; filled where it is needed.
    """
    score = float(own[0])
    higher, lower = int(np.count_nonzero(scores > score)), int(np.count_nonzero(scores < score))
    if higher + lower + 1 == len(scores):
        return higher
    if score not in ties:
        ties[score] = sorted((passages[place][1], passages[place][0]) for place in np.flatnonzero(scores == score).tolist())
    return len(scores) - lower - bisect_right(ties[score], own)


def _columns(rows: Sequence[tuple[int, ...]], width: int) -> NDArray[np.int64]:
    columns: NDArray[np.int64] = np.array(rows, dtype=np.int64).reshape(-1, width).T
    return columns
