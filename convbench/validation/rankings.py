"""Checks of a run's rankings, turn by turn: duplicates, ranks, scores, ties, placeholders, depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convbench.retrieval.canonical import LARGEST
from convbench.validation.problems import Findings
from convbench.validation.ranking_table import NO_RANK, Columns, RankingTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLACEHOLDER_TURNS, _PLACEHOLDER_DEPTH = 2, 3
"""A run is called scored by rank from so many turns and passages on: fewer may be so by chance."""


def check_rankings(table: RankingTable, findings: Findings) -> None:
    """Finds what is wrong with the rankings of a run; a turn with an entry that was not understood is spared what follows from that."""
    columns = table.columns()
    if not len(columns):
        return
    names = np.array(list(table.turns), dtype=object)
    repeated = _check_duplicates(columns, names, list(table.passages), findings)
    spoilt = repeated | {table.turns[turn_id] for turn_id in table.spoilt if turn_id in table.turns}
    whole = columns.where(~np.isin(columns.turn, np.array(sorted(spoilt), dtype=np.int64)))
    if len(whole):
        _check_ranks(whole, names, table.lines, findings)
        _check_rising(whole, names, table.lines, findings)
        _check_scores(whole, names, table.lines, findings)
        _check_depth(whole, names, table.lines, findings)


def _check_duplicates(columns: Columns, names: NDArray[np.object_], passages: list[str], findings: Findings) -> set[int]:
    """Passages that a turn has twice; a line is a duplicate when its rank and score are repeated, too. Returns the turns."""
    by_passage = columns.ordered_by("passage")
    again = 1 + np.flatnonzero(by_passage.follows & (by_passage.passage[1:] == by_passage.passage[:-1]))
    again = again[np.argsort(by_passage.line[again], kind="stable")]
    for at in again.tolist():
        line = int(by_passage.line[at])
        whole = by_passage.rank[at] == by_passage.rank[at - 1] and by_passage.score[at] == by_passage.score[at - 1]
        check = "duplicate-lines" if whole else "duplicate-passages"
        findings.add(check, f"{passages[by_passage.passage[at]]!r} of turn {names[by_passage.turn[at]]}", line)
    return set(by_passage.turn[again].tolist())


def _check_ranks(columns: Columns, names: NDArray[np.object_], lines: list[int], findings: Findings) -> None:
    unread = np.unique(columns.turn[columns.rank == NO_RANK])  # their lines have a finding of their own
    by_rank = columns.where(~np.isin(columns.turn, unread)).ordered_by("rank")
    if not len(by_rank):
        return
    expected = np.arange(len(by_rank)) - np.repeat(by_rank.starts, by_rank.sizes) + 1
    for turn in np.unique(by_rank.turn[by_rank.rank != expected]).tolist():
        findings.add("rank-numbers", names[turn], lines[turn])
    turns = by_rank.turn[by_rank.starts]
    as_score = turns[(by_rank.sizes > 1) & _every(by_rank.rank == by_rank.score, by_rank)]
    for turn in as_score.tolist():
        findings.add("rank-as-score", names[turn], lines[turn])
    rising = by_rank.follows & (by_rank.rank[1:] > by_rank.rank[:-1]) & (by_rank.score[1:] > by_rank.score[:-1])
    for turn in np.setdiff1d(by_rank.turn[1:][rising], as_score).tolist():
        findings.add("rank-order", names[turn], lines[turn])
    _check_scored_by_rank(by_rank, names, findings)


def _check_rising(columns: Columns, names: NDArray[np.object_], lines: list[int], findings: Findings) -> None:
    """Where ranks say nothing, scores that rise from the first line of a turn to its last: distances, probably."""
    first = np.repeat(columns.rank[columns.starts], columns.sizes)
    rises = np.r_[True, ~columns.follows | (columns.score[1:] > columns.score[:-1])]
    rising = (columns.sizes >= _PLACEHOLDER_DEPTH) & _every(columns.rank == first, columns) & _every(rises, columns)
    for turn in columns.turn[columns.starts][rising].tolist():
        findings.add("rank-order", names[turn], lines[turn])


def _check_scored_by_rank(by_rank: Columns, names: NDArray[np.object_], findings: Findings) -> None:
    """Scores such as 200 minus the rank, in every turn: right in order, but made up."""
    constants = by_rank.rank + by_rank.score
    deep = by_rank.sizes >= _PLACEHOLDER_DEPTH
    if len(deep) >= _PLACEHOLDER_TURNS and deep.all() and (constants == constants[0]).all() and (by_rank.rank != by_rank.rank[0]).any():
        for turn in by_rank.turn[by_rank.starts].tolist():
            findings.add("scores-from-ranks", names[turn], constant=float(constants[0]))


def _check_scores(columns: Columns, names: NDArray[np.object_], lines: list[int], findings: Findings) -> None:
    """Ties, as 32-bit floats: trec_eval reads scores so. Tied scores are lowered to be told apart, as long as there is a number below."""
    by_score = columns.ordered_by("score")
    single = by_score.score.astype(np.float32)
    tied = by_score.follows & (single[1:] == single[:-1])
    first = np.repeat(single[by_score.starts], by_score.sizes)
    constant = by_score.turn[by_score.starts][(by_score.sizes > 1) & _every(single == first, by_score)]
    for turn in constant.tolist():
        findings.add("constant-scores", names[turn], lines[turn])
    for turn in np.setdiff1d(by_score.turn[1:][tied], constant).tolist():
        findings.add("tied-scores", names[turn], lines[turn])
    places = np.arange(len(by_score)) - np.repeat(by_score.starts, by_score.sizes)  # from the lowest score
    exhausted = np.minimum.reduceat(_ordinals(single) - places, by_score.starts) < _ordinals(np.full(1, -LARGEST, dtype=np.float32))
    for turn in by_score.turn[by_score.starts][exhausted].tolist():
        findings.add("scores", f"tied scores of turn {names[turn]}: no number is left below to tell them apart", lines[turn])


def _ordinals(single: NDArray[np.float32]) -> NDArray[np.int64]:
    """Whole numbers in the order of 32-bit floats, neighbours one apart."""
    bits = single.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _check_depth(columns: Columns, names: NDArray[np.object_], lines: list[int], findings: Findings) -> None:
    usual = int(np.bincount(columns.sizes).argmax())
    for turn, size in zip(columns.turn[columns.starts].tolist(), columns.sizes.tolist(), strict=True):
        if size != usual:
            findings.add("depth", f"{names[turn]} has {size}", lines[turn], usual=usual)


def _every(condition: NDArray[np.bool_], columns: Columns) -> NDArray[np.bool_]:
    """Of every turn, whether the condition holds for all its entries."""
    return np.logical_and.reduceat(condition, columns.starts)
