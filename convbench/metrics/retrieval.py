"""Retrieval measures, computed by ir_measures on canonical rankings over the declared turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from convbench.errors import UsageError
from convbench.metrics.base import MISSING, Measure, Side, signature
from convbench.retrieval.canonical import TIE_RULE, canonical
from convbench.types import Score, Turn, TurnRecord, qrels_of

DEPTH = 100
NAMES = ("nDCG@3", "RR@100", "R@5", "R@10", "R@20", "R@100", "MAP")
EMPTY = "empty ranking"
NO_GOLD = "no gold passage is known for this turn"


class RetrievalMetric:
    """The measures of the line of papers after ConvGQR (protocol ``convgqr-line``).

    Recall, reciprocal rank and average precision count a passage as relevant from a grade on; nDCG uses the grade as its gain.
    ``RR@100`` is the reciprocal rank over the whole depth-100 ranking. Every ranking is made canonical first, so that ties cannot
    matter; the turns that are scored are the turns given, whatever the run holds.

    Args:
        depth: Passages of a ranking that count (1-100).
        relevant_from: The lowest grade that counts as relevant.
    """

    name = "retrieval"
    version = 1
    needs: Side = "ranking"
    batch_size = 2048

    def __init__(self, depth: int = DEPTH, relevant_from: int = 1) -> None:
        if not 1 <= depth <= DEPTH:
            raise UsageError(f"retrieval: depth {depth}; expected 1-{DEPTH}: RR@{DEPTH} and R@{DEPTH} look no deeper")
        self.depth = depth
        self.relevant_from = relevant_from

    def from_grade(self, grade: int) -> RetrievalMetric:
        """The same measures with another lowest relevant grade (CAsT 2020 and 2021 count from 2)."""
        return RetrievalMetric(self.depth, grade)

    def measures(self) -> list[Measure]:
        """nDCG@3, RR@100, R@5, R@10, R@20, R@100 and MAP."""
        parts = {"protocol": "convgqr-line", "rel": self.relevant_from, "depth": self.depth, "ties": TIE_RULE, "missing": "zero"}
        return [Measure(name, signature(name, **parts, ir_measures=metadata.version("ir-measures"))) for name in NAMES]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; a turn without gold passages has no value, a missing turn or an empty ranking scores 0.

        Raises:
            RunFileError: A ranking holds a score that is not finite, or a passage twice.
        """
        present = [turn.id for turn in turns if turn.id in records]
        run = {id_: dict(canonical(id_, records[id_].passages, self.depth).passages) for id_ in present}
        values = _values(qrels_of(turns), {turn_id: passages for turn_id, passages in run.items() if passages}, self.relevant_from)
        return [_score(turn, name, run, values) for turn in turns for name in NAMES]


def _values(
    qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]], relevant_from: int
) -> dict[tuple[str, str], float]:
    """(turn id, measure name) -> value, for the turns that both sides hold, in one pass of one evaluator."""
    import ir_measures

    judged = {turn_id: dict(qrels[turn_id]) for turn_id in run if turn_id in qrels}
    if not judged:
        return {}
    names = {measure: name for name, measure in _measure_objects(relevant_from).items()}
    evaluator = ir_measures.pytrec_eval.evaluator(list(names), judged)
    metrics = evaluator.iter_calc({turn_id: run[turn_id] for turn_id in judged})
    return {(metric.query_id, names[metric.measure]): metric.value for metric in metrics}


def _measure_objects(rel: int) -> dict[str, Any]:
    """Our names and ir_measures' objects (``parse_measure`` breaks on Python 3.14; ``RR`` with a cutoff would change the provider)."""
    from ir_measures import AP, RR, R, nDCG

    recall = {f"R@{cutoff}": R(rel=rel) @ cutoff for cutoff in (5, 10, 20, 100)}
    return {"nDCG@3": nDCG @ 3, "RR@100": RR(rel=rel), **recall, "MAP": AP(rel=rel)}


def _score(turn: Turn, name: str, run: Mapping[str, Mapping[str, float]], values: Mapping[tuple[str, str], float]) -> Score:
    if not turn.gold:
        return Score(turn.id, name, None, NO_GOLD)
    if turn.id not in run:
        return Score(turn.id, name, 0.0, MISSING)
    if not run[turn.id]:
        return Score(turn.id, name, 0.0, EMPTY)
    return Score(turn.id, name, values[turn.id, name])
