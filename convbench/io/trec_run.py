"""TREC run files: ``turn_id Q0 passage_id rank score tag``.

Passage ids of some data sets hold blanks, which the format splits on: a blank is written as U+2423 (OPEN BOX) and read back.
Scores are written with ``repr`` so that no digits, and so no order, are lost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from convbench.errors import DataError, RunFileError
from convbench.io.atomic import atomic_text
from convbench.io.jsonl import read_lines
from convbench.io.trec import split_columns
from convbench.io.trec_columns import RunColumns, is_large, read_columns
from convbench.types import Ranking

BLANK = "\N{OPEN BOX}"
"""Stands for a blank in a passage id."""
# Python's float also takes 1_0, digits of other scripts and blanks around; other tools read something else there, or nothing.
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def escape_id(passage_id: str) -> str:
    """A passage id as one TREC column."""
    return passage_id.replace(" ", BLANK)


def unescape_id(column: str) -> str:
    """The passage id that a TREC column stands for."""
    return column.replace(BLANK, " ")


def read_score(column: str) -> float:
    """The score that a TREC column stands for; NaN where it is no decimal number in ASCII."""
    return float(column) if _DECIMAL.fullmatch(column) else math.nan


def write_trec_run(path: Path, rankings: Iterable[Ranking], tag: str) -> None:
    """Writes rankings, which must be canonical, as a TREC run (atomically)."""
    with atomic_text(path) as handle:
        for ranking in rankings:
            turn_id = ranking.turn_id
            lines = [
                f"{turn_id} Q0 {id_.replace(' ', BLANK)} {rank} {score!r} {tag}\n" for rank, (id_, score) in enumerate(ranking.passages, 1)
            ]
            handle.write("".join(lines))


def read_trec_run(path: Path) -> dict[str, list[tuple[str, float]]]:
    """Reads a TREC run: turn id -> (passage id, score) in file order. The rank column is not trusted.

    A large file is read as arrays where it is regular.

    Raises:
        DataError: A line without six columns, or a passage twice for one turn.
        RunFileError: A score that is not a finite decimal number.
    """
    if is_large(path) and (columns := read_columns(path)) is not None:
        return read_rankings(columns)
    return read_trec_lines(path)


def read_rankings(columns: RunColumns) -> dict[str, list[tuple[str, float]]]:
    """The rankings of a run that was read as arrays."""
    ids, scores = columns.passage_ids(), columns.scores.tolist()
    if BLANK.encode() in columns.text:
        ids = [unescape_id(column) for column in ids]
    spans = zip(columns.turn_ids, pairwise(columns.firsts.tolist()), strict=True)
    return {turn_id: list(zip(ids[first:last], scores[first:last], strict=True)) for turn_id, (first, last) in spans}


def read_trec_lines(path: Path) -> dict[str, list[tuple[str, float]]]:
    """As ``read_trec_run``, line by line, so that whatever is wrong has a line."""
    run: dict[str, list[tuple[str, float]]] = {}
    seen: dict[str, set[str]] = {}
    for number, line in read_lines(path):
        columns = split_columns(line)
        if columns == [""]:
            continue
        if len(columns) != 6:
            raise DataError(path, f"expected 6 columns 'turn_id Q0 passage_id rank score tag', found {len(columns)}", line=number)
        turn_id, _, passage, _, text, _ = columns
        score = read_score(text)
        if not math.isfinite(score):
            message = f"turn {turn_id}: score {text!r:.40} is not a finite number such as 12.5 or 1e-3"
            raise RunFileError(str(DataError(path, message, line=number)))
        passage_id = unescape_id(passage)
        if passage_id in seen.setdefault(turn_id, set()):
            raise DataError(path, f"turn {turn_id}: passage {passage_id!r} appears twice", line=number)
        seen[turn_id].add(passage_id)
        run.setdefault(turn_id, []).append((passage_id, score))
    return run
