"""Rank measures by ir_measures: the reference that the fast evaluator is held to, and what ``--reference`` computes with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convbench.metrics.measure_names import Kind, RankMeasure
from convbench.retrieval.canonical import canonical
from convbench.types import Turn, TurnRecord


class IrMeasuresEvaluator:
    """trec_eval through ir_measures, always of one provider (pytrec_eval).

    ir_measures computes ``RR@k`` and ``AP@k`` with another provider, which breaks ties in the opposite way; so rankings are cut at k and
    the measure is taken over all that is left.

    Args:
        measures: The measures.
        depth: Passages of a ranking that count.
        relevant_from: The lowest grade that counts as relevant.
    """

    engine = "ir_measures"

    def __init__(self, measures: Sequence[RankMeasure], depth: int, relevant_from: int) -> None:
        self._measures, self._depth, self._relevant_from = measures, depth, relevant_from

    def values(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> NDArray[np.float64]:
        """As ``RankEvaluator`` has it."""
        run = {turn.id: canonical(turn.id, records[turn.id].passages, self._depth).passages for turn in turns if turn.id in records}
        rows = {turn.id: row for row, turn in enumerate(turns) if turn.gold and run.get(turn.id)}
        qrels = {turn.id: dict(turn.gold) for turn in turns if turn.id in rows}
        values = np.zeros((len(turns), len(self._measures)))
        columns = [(column, _object(measure, self._relevant_from), self._cut(measure)) for column, measure in enumerate(self._measures)]
        for cut in dict.fromkeys(each for _, _, each in columns):
            named: dict[Any, list[int]] = {}
            for column, measure, own_cut in columns:
                if own_cut == cut:
                    named.setdefault(measure, []).append(column)
            for turn_id, measure, value in _evaluated(list(named), qrels, {turn_id: dict(run[turn_id][:cut]) for turn_id in rows}):
                values[rows[turn_id], named[measure]] = value
        return values

    def _cut(self, measure: RankMeasure) -> int:
        """Passages that rankings are cut to before it is computed."""
        return measure.cutoff if measure.kind in ("RR", "AP") else self._depth


def _object(measure: RankMeasure, rel: int) -> Any:
    """ir_measures' object."""
    from ir_measures import AP, RR, P, R, Success, nDCG

    objects: dict[Kind, Callable[[], Any]] = {
        "nDCG": lambda: nDCG if measure.whole else nDCG @ measure.cutoff,
        "RR": lambda: RR(rel=rel),
        "AP": lambda: AP(rel=rel),
        "R": lambda: R(rel=rel) @ measure.cutoff,
        "P": lambda: P(rel=rel) @ measure.cutoff,
        "Success": lambda: Success(rel=rel) @ measure.cutoff,
    }
    return objects[measure.kind]()


def _evaluated(
    measures: Sequence[Any], qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]]
) -> Iterable[tuple[str, Any, float]]:
    """(turn id, measure, value), in one pass of one evaluator."""
    import ir_measures

    if not run:
        return
    for metric in ir_measures.pytrec_eval.evaluator(measures, qrels).iter_calc(run):
        yield metric.query_id, metric.measure, float(metric.value)
