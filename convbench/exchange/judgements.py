"""BEIR's table of judgements: ``query-id``, ``corpus-id`` and ``score``, with tabs between, below a header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TypeAlias

from convbench.datasets.corpora import check_id
from convbench.errors import DataError
from convbench.io.jsonl import read_lines
from convbench.io.records import Record
from convbench.types import HIGHEST_GRADE

COLUMNS = ("query-id", "corpus-id", "score")

Judgements: TypeAlias = dict[str, dict[str, int]]
"""Query (turn) id -> passage id -> grade, in file order."""


def read_table(path: Path) -> Judgements:
    """Reads the table.

    Raises:
        DataError: No header, a line without three columns, a grade that is no integer, or two grades for one passage.
    """
    judgements: Judgements = {}
    reader = csv.reader((line for _, line in read_lines(path)), delimiter="\t")
    try:
        if (header := tuple(next(reader, []))) != COLUMNS:
            raise DataError(path, f"expected the header {' '.join(COLUMNS)!r} with tabs between, found {' '.join(header)!r:.80}", line=1)
        for row in reader:
            if not row:
                continue
            if len(row) != len(COLUMNS):
                raise DataError(path, f"expected 3 columns with tabs between, found {len(row)}", line=reader.line_num)
            if not re.fullmatch(r"-?[0-9]{1,9}(\.0+)?", row[2]):
                raise DataError(path, f"query {row[0]!r}: grade {row[2]!r:.40} is not an integer", line=reader.line_num)
            add_grade(judgements, row[0], row[1], int(row[2].partition(".")[0]), DataError(path, _TWO_GRADES, line=reader.line_num))
    except csv.Error as error:
        raise DataError(path, f"not a table with tabs between its columns: {error}", line=reader.line_num) from None
    return judgements


def read_rows_of_grades(rows: Iterable[Record]) -> Judgements:
    """The judgements in rows of a hub's table; ids may be numbers, grades floats without a fraction.

    Raises:
        DataError: A column is missing or holds something else, or two grades for one passage.
    """
    judgements: Judgements = {}
    for row in rows:
        query, passage = (id_text(row, column) for column in COLUMNS[:2])
        grade = row.values.get("score")
        if isinstance(grade, bool) or not isinstance(grade, int | float) or grade != grade // 1:
            raise row.error(f"query {query!r}: grade {grade!r:.40} is not an integer")
        add_grade(judgements, query, passage, int(grade), row.error(_TWO_GRADES))
    return judgements


def add_grade(judgements: Judgements, query: str, passage: str, grade: int, error: DataError) -> None:
    """Adds a judgement; it may be repeated, but not with another grade."""
    if judgements.setdefault(query, {}).setdefault(passage, grade) != grade:
        raise error


def checked(judgements: Judgements, source: Path) -> Judgements:
    """The judgements, if every passage id can stand in a line and every grade in 32 bits.

    Raises:
        DataError: One cannot.
    """
    for grades in judgements.values():
        for passage_id, grade in grades.items():
            check_id(passage_id, source)
            if abs(grade) > HIGHEST_GRADE:
                raise DataError(source, f"passage {passage_id!r:.80} has a grade beyond {HIGHEST_GRADE}, the highest that tools can hold")
    return judgements


def id_text(row: Record, field: str) -> str:
    """An id, which hub tables also write as a number."""
    value = row.values.get(field)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else row.get(field, str)


def write_table(handle: IO[str], judgements: Mapping[str, Mapping[str, int]]) -> None:
    """Writes the table to an open file."""
    writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for query, grades in judgements.items():
        writer.writerows((query, passage, grade) for passage, grade in grades.items())


_TWO_GRADES = "a passage has two grades for one query; keep one"
