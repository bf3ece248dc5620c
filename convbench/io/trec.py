"""TREC relevance judgements: ``turn_id 0 passage_id grade``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from convbench.errors import DataError
from convbench.io.jsonl import read_lines

if TYPE_CHECKING:
    from pathlib import Path

# ASCII blanks only: str.split would also cut at a no-break space, which passage ids may hold.
_BLANKS = re.compile(r"[ \t]+")


def split_columns(line: str) -> list[str]:
    """The columns of a TREC line; ``[""]`` for a blank line."""
    columns = line.split(" ")
    return _BLANKS.split(line.strip(" \t")) if "" in columns or "\t" in line else columns


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Reads judgements (gunzipped by name): turn id -> passage id -> grade, in file order.

    The second column is not read (both ``0`` and ``Q0`` are in use). A judgement may be repeated, but not with another grade.

    Raises:
        DataError: A line without four columns, a grade that is not an integer of at most 100 digits, or two grades for one passage.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        columns = split_columns(line)
        if columns == [""]:
            continue
        if len(columns) != 4:
            raise DataError(path, f"expected 4 columns 'turn_id 0 passage_id grade', found {len(columns)}", line=number)
        turn_id, _, passage_id, text = columns
        if not re.fullmatch(r"-?[0-9]{1,100}", text):
            raise DataError(path, f"turn {turn_id}: grade {text!r:.40} is not an integer of at most 100 digits", line=number)
        known = qrels.setdefault(turn_id, {}).setdefault(passage_id, int(text))
        if known != int(text):
            raise DataError(path, f"turn {turn_id}: passage {passage_id!r} has the grades {known} and {text}", line=number)
    return qrels
