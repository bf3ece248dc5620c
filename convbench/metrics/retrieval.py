"""Retrieval measures on canonical rankings over the declared turns, with the values of ir_measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convbench.errors import UsageError
from convbench.metrics.base import MISSING, Measure, Side, signature
from convbench.metrics.invariants import check_turn
from convbench.metrics.invariants_at_once import suspects
from convbench.metrics.measure_names import RankMeasure, rank_measure
from convbench.metrics.rank_records import ArrayEvaluator, RankEvaluator
from convbench.metrics.rank_reference import IrMeasuresEvaluator
from convbench.retrieval.canonical import TIE_RULE
from convbench.types import HIGHEST_GRADE, Score, Turn, TurnRecord

DEPTH = 100
NAMES = ("nDCG@3", "RR@100", "R@5", "R@10", "R@20", "R@100", "MAP")
EMPTY = "empty ranking"
NO_GOLD = "no gold passage is known for this turn"
Engine = Literal["arrays", "ir_measures"]
_ENGINES: dict[Engine, Callable[[Sequence[RankMeasure], int, int], RankEvaluator]] = {
    "arrays": ArrayEvaluator,
    "ir_measures": IrMeasuresEvaluator,
}
_CHECKED = ("P@1", "Success@1", "RR@1", "RR@10", "RR@100", "R@10", "R@100", "nDCG@1", "nDCG@3")
"""Always computed with what is asked for, so that the invariants between them can be checked."""


class RetrievalMetric:
    """Measures of rankings against the gold passages.

    Recall, precision, success, reciprocal rank and average precision count a passage as relevant from a grade on; nDCG uses the grade as
    its gain. Every ranking is made canonical and cut first, so that ties cannot matter; the turns that are scored are the turns given,
    whatever the run holds. ``RR@k`` looks at the first k passages of the ranking.

    Args:
        depth: Passages of a ranking that count; no measure may look deeper.
        relevant_from: The lowest grade that counts as relevant.
        measures: Names of the measures: ``nDCG@k``, ``RR@k``, ``R@k``, ``P@k``, ``Success@k``, ``Hits@k`` (Success by another name),
            ``AP@k``, and ``nDCG``, ``RR``, ``MAP`` over the whole depth.
        unjudged: What a turn without gold passages scores: no value (None), or 0.
        engine: What computes: our arrays, or ir_measures. The values are the same, and so are the signatures.
    """

    name = "retrieval"
    version = 2
    needs: Side = "ranking"
    batch_size = 2048

    def __init__(
        self,
        depth: int = DEPTH,
        relevant_from: int = 1,
        measures: Sequence[str] = NAMES,
        unjudged: float | None = None,
        engine: Engine = "arrays",
    ) -> None:
        if depth < 1:
            raise UsageError(f"retrieval: depth {depth}; expected 1 or more")
        if not 1 <= relevant_from <= HIGHEST_GRADE:
            raise UsageError(f"retrieval: relevant_from {relevant_from}; expected a grade from 1 to {HIGHEST_GRADE}")
        if unjudged not in (None, 0):
            raise UsageError(f"retrieval: unjudged {unjudged}; expected 0, or nothing, which leaves such turns out")
        self.depth = depth
        self.relevant_from = relevant_from
        self._unjudged = unjudged
        self._asked = {name: rank_measure(name, depth) for name in measures}
        for name, measure in self._asked.items():
            if measure.cutoff > depth:
                raise UsageError(f"retrieval: {name} looks deeper than the depth of {depth}; expected a cutoff of {depth} or less")
        if engine not in _ENGINES:
            raise UsageError(f"retrieval: engine {engine!r}; expected {' or '.join(_ENGINES)}")
        checked = {name: rank_measure(name, depth) for name in dict.fromkeys((*measures, *_CHECKED))}
        self._computed = {name: measure for name, measure in checked.items() if measure.cutoff <= depth}
        self._evaluator = _ENGINES[engine](list(self._computed.values()), depth, relevant_from)
        self.by_reference = engine == "ir_measures"

    def measures(self) -> list[Measure]:
        """The measures asked for."""
        parts = {"rel": self.relevant_from, "depth": self.depth, "ties": TIE_RULE, "unjudged": "left-out" if self._unjudged is None else 0}
        return [Measure(name, signature(name, **parts, ir_measures=metadata.version("ir-measures"))) for name in self._asked]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; a missing turn or an empty ranking scores 0.

        Raises:
            RunFileError: A ranking holds a score that is not finite, or a passage twice.
            InvariantError: The measures of a turn contradict one another: a fault of a library, or of convbench.
        """
        judged = [bool(turn.gold and turn.id in records and records[turn.id].passages) for turn in turns]
        _refuse_huge_grades([turn for turn, has_values in zip(turns, judged, strict=True) if has_values])
        values = self._evaluator.values(turns, records)
        self._check(turns, values)
        rows = values[:, [list(self._computed).index(name) for name in self._asked]].tolist()
        scores: list[Score] = []
        for turn, has_values, row in zip(turns, judged, rows, strict=True):
            if has_values:
                scores += [Score(turn.id, name, value) for name, value in zip(self._asked, row, strict=True)]
            else:
                value, reason = (0.0, EMPTY if turn.id in records else MISSING) if turn.gold else (self._unjudged, NO_GOLD)
                scores += [Score(turn.id, name, value, reason) for name in self._asked]
        return scores

    def _check(self, turns: Sequence[Turn], values: NDArray[np.float64]) -> None:
        """Raises where measures of a turn contradict one another; what looks wrong at a glance over all turns is looked at closely."""
        names = list(self._computed)
        relevant = [sum(grade >= self.relevant_from for grade in turn.gold.values()) for turn in turns]
        one_gold = np.array([len(turn.gold) == count == 1 for turn, count in zip(turns, relevant, strict=True)], dtype=bool)
        for row in suspects(names, values, one_gold):
            check_turn(turns[row].id, dict(zip(names, values[row].tolist(), strict=True)), relevant[row], turns[row].gold)


def _refuse_huge_grades(turns: Sequence[Turn]) -> None:
    """Datasets are checked when they are read; this is for turns that were made otherwise."""
    for turn in turns:
        if max(turn.gold.values()) > HIGHEST_GRADE:
            passage_id, grade = max(turn.gold.items(), key=lambda item: item[1])
            raise UsageError(f"turn {turn.id}: passage {passage_id!r} has the grade {grade}; expected {HIGHEST_GRADE} or less")
