"""Retrieval measures, computed by ir_measures on canonical rankings over the declared turns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata

from convbench.errors import UsageError
from convbench.metrics.base import MISSING, Measure, Side, signature
from convbench.metrics.invariants import check_turn
from convbench.metrics.measure_names import RankMeasure, rank_measure
from convbench.retrieval.canonical import TIE_RULE, canonical
from convbench.types import HIGHEST_GRADE, Score, Turn, TurnRecord, qrels_of

DEPTH = 100
NAMES = ("nDCG@3", "RR@100", "R@5", "R@10", "R@20", "R@100", "MAP")
EMPTY = "empty ranking"
NO_GOLD = "no gold passage is known for this turn"
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
    """

    name = "retrieval"
    version = 2
    needs: Side = "ranking"
    batch_size = 2048

    def __init__(self, depth: int = DEPTH, relevant_from: int = 1, measures: Sequence[str] = NAMES, unjudged: float | None = None) -> None:
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
        run = {turn.id: canonical(turn.id, records[turn.id].passages, self.depth).passages for turn in turns if turn.id in records}
        values = self._values([turn for turn in turns if turn.gold and run.get(turn.id)], run)
        return [self._score(turn, name, run, values) for turn in turns for name in self._asked]

    def _values(self, turns: Sequence[Turn], run: Mapping[str, tuple[tuple[str, float], ...]]) -> dict[str, dict[str, float]]:
        """Turn id -> measure -> value, for turns that have gold passages and a ranking."""
        wanted = {name: rank_measure(name, self.depth) for name in dict.fromkeys((*self._asked, *_CHECKED))}
        fitting = {name: measure for name, measure in wanted.items() if measure.cutoff <= self.depth}
        values: dict[str, dict[str, float]] = {turn.id: {} for turn in turns}
        qrels = qrels_of(turns)
        _refuse_huge_grades(qrels)
        for cut in dict.fromkeys(measure.cut for measure in fitting.values()):
            names = {name: measure for name, measure in fitting.items() if measure.cut == cut}
            cut_run = {turn.id: dict(run[turn.id][:cut]) for turn in turns}
            for turn_id, name, value in _evaluated(names, qrels, cut_run, self.relevant_from):
                values[turn_id][name] = value
        for turn in turns:
            check_turn(turn.id, values[turn.id], sum(grade >= self.relevant_from for grade in turn.gold.values()), dict(turn.gold))
        return values

    def _score(
        self,
        turn: Turn,
        name: str,
        run: Mapping[str, tuple[tuple[str, float], ...]],
        values: Mapping[str, Mapping[str, float]],
    ) -> Score:
        if not turn.gold:
            return Score(turn.id, name, self._unjudged, NO_GOLD)
        if turn.id not in run:
            return Score(turn.id, name, 0.0, MISSING)
        if not run[turn.id]:
            return Score(turn.id, name, 0.0, EMPTY)
        return Score(turn.id, name, values[turn.id][name])


def _refuse_huge_grades(qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Datasets are checked when they are read; this is for turns that were made otherwise."""
    for turn_id, grades in qrels.items():
        passage_id, grade = max(grades.items(), key=lambda item: item[1])
        if grade > HIGHEST_GRADE:
            raise UsageError(f"turn {turn_id}: passage {passage_id!r} has the grade {grade}; expected {HIGHEST_GRADE} or less")


def _evaluated(
    names: Mapping[str, RankMeasure],
    qrels: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
    relevant_from: int,
) -> Iterable[tuple[str, str, float]]:
    """(turn id, measure name, value), in one pass of one evaluator."""
    import ir_measures

    if not run:
        return
    objects = {name: measure.build(relevant_from) for name, measure in names.items()}
    evaluator = ir_measures.pytrec_eval.evaluator(list(dict.fromkeys(objects.values())), {id_: dict(qrels[id_]) for id_ in run})
    named: dict[object, list[str]] = {}
    for name, measure in objects.items():
        named.setdefault(measure, []).append(name)
    for metric in evaluator.iter_calc({id_: dict(passages) for id_, passages in run.items()}):
        for name in named[metric.measure]:
            yield metric.query_id, name, float(metric.value)
