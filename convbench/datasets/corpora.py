"""Streams of passages from official corpus files: the ``id text title`` TSV and JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from convbench.errors import DataError
from convbench.io.jsonl import read_jsonl, read_lines
from convbench.io.records import Record
from convbench.io.trec_run import BLANK
from convbench.types import Passage

_COLUMNS = ["id", "text", "title"]
_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=\t|\Z)')
_CLOSED = re.compile(r'"[^"]*(?:""[^"]*)*"(?!")')
# The C0 and C1 control characters and Unicode's own line and paragraph separators: none can stand in a line-based file.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def tsv_passages(path: Path) -> Iterator[Passage]:
    r"""The passages of a TSV ``id<TAB>text<TAB>title``, as DPR, TopiOCQA and INSCIT publish their collections.

    The official files are written by Python's ``csv`` with minimal quoting, others by a plain join, so a field is unquoted only when it
    is quoted as a whole (``"the ""big"" one"``); any other field is taken as it stands (``5" wide``, ``"Yesterday" is a song``).
    A record never goes beyond its line. Header lines are passed over wherever they are: INSCIT's writer repeats them inside the file.

    Args:
        path: The file, gunzipped by name (``.gz``).

    Raises:
        MissingFileError: There is no such file.
        DataError: Wrong number of columns, a quote that is not closed on its line, a header in another order, or an unusable id.
    """
    for number, line in read_lines(path):
        if not line:
            continue
        fields = line.split("\t")
        if '\t"' in line or line.startswith('"'):
            fields = _unquoted(path, number, line)
        if len(fields) != 3:
            raise DataError(path, f"found {len(fields)} columns, expected 3 with tabs between: {' '.join(_COLUMNS)}", line=number)
        id_, text, title = fields
        if id_ == "id":
            if fields != _COLUMNS:
                raise DataError(path, f"found the header {' '.join(fields)!r:.80}, expected {' '.join(_COLUMNS)!r}", line=number)
            continue
        check_id(id_, path, number)
        yield Passage(id_, text, title)


def jsonl_passages(paths: Sequence[Path], *, id_field: str, text_field: str, title_field: str | None = None) -> Iterator[Passage]:
    """The passages of JSON-lines files (gunzipped by name), one object a line, in the order of ``paths``.

    Args:
        paths: The files.
        id_field: The field that holds the id, a string.
        text_field: The field that holds the text, a string.
        title_field: The field that holds the title, where the collection has titles; it may be absent or null in a record.

    Raises:
        MissingFileError: A file is not there.
        DataError: Not a JSON object, a field that is missing or no string, or an unusable id; file and line are named.
    """
    for path in paths:
        for number, value in read_jsonl(path):
            record = Record(path, value, line=number)
            id_ = record.get(id_field, str)
            check_id(id_, path, number)
            title = record.optional(title_field, str, "") if title_field is not None else ""
            yield Passage(id_, record.get(text_field, str), title)


def _unquoted(path: Path, number: int, line: str) -> list[str]:
    """The fields of a line in which one begins with a quote; a quoted field may hold tabs."""
    fields = []
    at = 0
    while at <= len(line):
        if quoted := _QUOTED.match(line, at):
            fields.append(quoted[1].replace('""', '"'))
            at = quoted.end() + 1
            continue
        end = line.find("\t", at)
        end = len(line) if end < 0 else end
        if line.startswith('"', at) and not _CLOSED.match(line, at, end):
            column = len(fields) + 1
            message = f"column {column} opens a quote that this line does not close: {line[at:end]!r:.60}; a passage must stand on one line"
            raise DataError(path, message, line=number)
        fields.append(line[at:end])
        at = end + 1
    return fields


def check_id(id_: str, path: Path, number: int | None = None) -> None:
    """Blanks of every kind may stand in an id (INSCIT's are article titles); what breaks a line or a column may not.

    Raises:
        DataError: The id is empty, holds a control character, or U+2423, which stands for a blank in TREC runs.
    """
    if not id_.strip():
        raise DataError(path, "the passage id is empty: every passage needs one", line=number)
    if BLANK in id_:
        raise DataError(path, f"passage id {id_!r:.80} holds U+2423, which stands for a blank in TREC runs", line=number)
    if not id_.isprintable() and _CONTROL.search(id_):
        raise DataError(path, f"passage id {id_!r:.80} holds a control character or line break", line=number)
