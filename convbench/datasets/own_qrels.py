"""Judgements of a dataset in convbench's own layout: TREC's four columns, or three with tabs between."""

from __future__ import annotations

import re
from pathlib import Path

from convbench.errors import DataError
from convbench.io.jsonl import read_lines
from convbench.io.trec import read_qrels
from convbench.io.trec_run import unescape_id
from convbench.types import HIGHEST_GRADE, Qrels

_HEADERS = (["turn_id", "passage_id", "grade"], ["query-id", "corpus-id", "score"])
_GRADE = re.compile(r"-?[0-9]{1,10}")


def read_own_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Judgements: turn id -> passage id -> grade, in file order.

    ``.txt`` is TREC's format (a blank in an id is written as U+2423, as in TREC runs); ``.tsv`` has turn id, passage id and grade, with or
    without a header line.

    Raises:
        MissingFileError: There is no such file.
        DataError: A line has other columns, a grade is no integer or too high, or a passage has two grades.
    """
    if path.name.removesuffix(".gz").endswith(".tsv"):
        return _read_tsv(path)
    qrels = {turn_id: {unescape_id(passage): grade for passage, grade in grades.items()} for turn_id, grades in read_qrels(path).items()}
    _check_grades(qrels, path)
    return qrels


def _read_tsv(path: Path) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        columns = line.split("\t")
        if not line.strip() or (number == 1 and columns in _HEADERS):
            continue
        if len(columns) != 3 or not columns[0] or not columns[1]:
            raise DataError(path, f"expected turn_id, passage_id and grade with tabs between, found {line!r:.80}", line=number)
        turn_id, passage, text = columns
        if not _GRADE.fullmatch(text):
            raise DataError(path, f"turn {turn_id}: grade {text!r:.40} is not an integer of at most {HIGHEST_GRADE}", line=number)
        known = qrels.setdefault(turn_id, {}).setdefault(passage, int(text))
        if known != int(text):
            raise DataError(path, f"turn {turn_id}: passage {passage!r} has the grades {known} and {text}", line=number)
    _check_grades(qrels, path)
    return qrels


def _check_grades(qrels: Qrels, path: Path) -> None:
    for turn_id, grades in qrels.items():
        for passage, grade in grades.items():
            if abs(grade) > HIGHEST_GRADE:
                raise DataError(path, f"turn {turn_id}: passage {passage!r:.80} has the grade {grade:d}; expected at most {HIGHEST_GRADE}")
