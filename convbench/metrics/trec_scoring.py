"""Rank measures of a TREC run against TREC judgements, without a dataset: from the files to the values of every turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convbench.errors import DataError
from convbench.io.trec import read_qrels
from convbench.io.trec_columns import RunColumns, is_large, read_columns
from convbench.io.trec_ranks import ranks_of
from convbench.io.trec_run import BLANK, read_trec_lines, unescape_id
from convbench.metrics.measure_names import RankMeasure, rank_measure
from convbench.metrics.rank_arrays import Judged, measured
from convbench.metrics.rank_records import ArrayEvaluator
from convbench.retrieval.canonical import LARGEST
from convbench.types import HIGHEST_GRADE, Qrels, Turn, TurnRecord

_WHOLE = 1 << 40
"""A depth that no ranking reaches."""


@dataclass(frozen=True, slots=True, eq=False)
class TrecScores:
    """Values of turns under measures.

    Attributes:
        turn_ids: The turns: those of the judgements, in their order.
        measures: Names of the measures.
        values: Shape (turns, measures); 0 where the run lacks the turn, or nothing is relevant to it.
    """

    turn_ids: tuple[str, ...]
    measures: tuple[str, ...]
    values: NDArray[np.float64]

    def means(self) -> dict[str, float]:
        """Measure -> the mean over all turns."""
        return dict(zip(self.measures, self.values.mean(axis=0).tolist(), strict=True))


def score_trec(run: Path | str, qrels: Path | str, measures: Sequence[str], depth: int | None = None, relevant_from: int = 1) -> TrecScores:
    """Scores the run in a file against the judgements in another, as ir_measures does: over the turns of the judgements.

    Rankings are ordered by score and, where scores are equal, by passage id, both descending; the rank column is not read. Scores are
    those that trec_eval has: rounded to 32 bits, where 20.00000001 and 20 are equal. (A run folder keeps all 64, so that a record's order
    is the system's own; there the two would not tie.)

    Args:
        run: TREC run, gunzipped by name.
        qrels: TREC judgements, likewise; at least one.
        measures: Names of measures, as ``RetrievalMetric`` has them.
        depth: Passages of a ranking that count; None for all.
        relevant_from: The lowest grade that counts as relevant.

    Raises:
        MissingFileError: There is no such file.
        DataError: A file is not what its format says, or a grade is too high.
        RunFileError: A score has no place in a ranking.
        UsageError: There is no such measure.
    """
    run, qrels = Path(run), Path(qrels)
    within = depth or _WHOLE
    wanted = [rank_measure(name, within) for name in measures]
    judgements = _read_judgements(qrels)
    columns = read_columns(run) if is_large(run) else None
    if columns is not None and _plain(columns):
        values = measured(_judged(columns, judgements, within), wanted, relevant_from)
    else:
        values = _line_by_line(run, judgements, wanted, within, relevant_from)
    return TrecScores(tuple(judgements), tuple(measures), values)


def _read_judgements(path: Path) -> Qrels:
    """Turn -> passage -> grade, from 1."""
    judgements = {turn_id: {id_: grade for id_, grade in grades.items() if grade > 0} for turn_id, grades in read_qrels(path).items()}
    if not judgements:
        raise DataError(path, "no judgements here; expected lines 'turn_id 0 passage_id grade'")
    for turn_id, grades in judgements.items():
        for passage_id, grade in grades.items():
            if grade > HIGHEST_GRADE:
                raise DataError(path, f"turn {turn_id}: passage {passage_id!r} has the grade {grade}; expected {HIGHEST_GRADE} or less")
    return judgements


def _plain(columns: RunColumns) -> bool:
    """Whether columns are ids as they stand, and no score is so low that ties could not be broken below it."""
    return BLANK.encode() not in columns.text and bool((np.abs(columns.scores) < LARGEST / 2).all())


def _judged(columns: RunColumns, judgements: Qrels, depth: int) -> Judged:
    """Where the judged passages stand in the run."""
    turns = np.repeat(np.arange(len(judgements)), [len(grades) for grades in judgements.values()])
    grades = np.array([grade for of_turn in judgements.values() for grade in of_turn.values()], dtype=np.int64)
    ranks = ranks_of(columns, judgements)
    best_first = np.lexsort((-grades, turns))
    found = np.lexsort((ranks, turns))
    found = found[(ranks[found] > 0) & (ranks[found] <= depth)]
    return Judged(len(judgements), turns[best_first], grades[best_first], turns[found], ranks[found], grades[found])


def _line_by_line(
    run: Path, judgements: Mapping[str, Mapping[str, int]], measures: Sequence[RankMeasure], depth: int, relevant_from: int
) -> NDArray[np.float64]:
    records = {turn_id: TurnRecord(turn_id, passages=_rounded(pairs)) for turn_id, pairs in read_trec_lines(run).items()}
    turns = [
        Turn(turn_id, "", gold={unescape_id(column): grade for column, grade in grades.items()}) for turn_id, grades in judgements.items()
    ]
    return ArrayEvaluator(measures, depth, relevant_from).values(turns, records)


def _rounded(pairs: Sequence[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Pairs with scores rounded to 32 bits; as they are where one is too large, which is refused by its own name."""
    scores = np.array([score for _, score in pairs])
    if not (np.abs(scores) <= LARGEST).all():
        return tuple(pairs)
    return tuple(zip([passage_id for passage_id, _ in pairs], scores.astype(np.float32).tolist(), strict=True))
