"""``standings.csv`` of a track: what is measured, in full precision, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO
from typing import Any

from convbench.leaderboard.board import TrackBoard
from convbench.leaderboard.entries import Scored
from convbench.leaderboard.slicings import slice_value, slicings_of
from convbench.leaderboard.standings import Row, Standings, section_of
from convbench.leaderboard.wording import group_text, marks_of
from convbench.report.figures.wording import plain

_FORMULA = ("=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠")
_LONGEST = 300

_COST = ("ms_per_turn", "tokens_in", "tokens_out", "index_bytes", "price")

_ABOUT: dict[str, Callable[[Scored], Any]] = {
    "id": lambda entry: entry.id,
    "system": lambda entry: entry.card.name,
    "kind": lambda entry: entry.card.kind,
    "section": section_of,
    "level": lambda entry: entry.level,
    "trained_on_test": lambda entry: entry.verified.contaminated,
    "marks": marks_of,
    "parameters": lambda entry: entry.card.parameters,
    "history": lambda entry: entry.card.history,
    "rewriter": lambda entry: entry.card.rewriter,
    "evidence": lambda entry: entry.card.evidence,
    "submitted": lambda entry: entry.card.submitted,
}


def csv_text(board: TrackBoard) -> str:
    """A header and a row for each submission that is in some standings, in their order; reported numbers are left out.

    Scores are fractions. A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    header = [*_ABOUT, *(name for standings in board.standings for name in _score_names(board, standings)), *_COST]
    places = [{row.entry.id: row for row in standings.rows} for standings in board.standings]
    entries = {row.entry.id: row.entry for standings in board.standings for row in standings.rows}
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(inert, header))
    for id_, entry in entries.items():
        scores = [
            value
            for standings, rows in zip(board.standings, places, strict=True)
            for value in _score_values(board, standings, rows.get(id_))
        ]
        costs = [getattr(entry.card.cost, name) for name in _COST]
        writer.writerow(map(inert, [*(about(entry) for about in _ABOUT.values()), *scores, *costs]))
    return out.getvalue()


def inert(value: Any) -> str:
    """A value as a field that no spreadsheet computes with, unless it is a number."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    text = plain(str(value), _LONGEST)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _score_names(board: TrackBoard, standings: Standings) -> list[str]:
    measures = [f"{measure}{part}" for measure in standings.ranked.measures for part in ("", " low", " high", " turns")]
    sliced = [f"{standings.ranked.by} {each.name}={label}" for each in slicings_of(board.track, standings) for label in each.labels]
    return [f"{standings.side} group", *measures, *sliced]


def _score_values(board: TrackBoard, standings: Standings, row: Row | None) -> list[Any]:
    if row is None:
        return [None] * len(_score_names(board, standings))
    values: list[Any] = [group_text(row)]
    for measure in standings.ranked.measures:
        score = row.scores.get(measure)
        values += [score.value, *(score.interval or (None, None)), score.n_turns] if score else [None] * 4
    by = standings.ranked.by
    found = [slice_value(row, by, each.name, label) for each in slicings_of(board.track, standings) for label in each.labels]
    return [*values, *(pair[0] if pair else None for pair in found)]
