"""Passages of a dataset in convbench's own layout: JSON lines or TSV, with the field names that are usual."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from convbench.datasets.corpora import check_id, tsv_passages
from convbench.io.jsonl import read_jsonl
from convbench.io.records import Record
from convbench.types import Passage

log = logging.getLogger(__name__)

_IDS = ("id", "_id")
_TEXTS = ("text", "contents")
_KNOWN = (*_IDS, *_TEXTS, "title", "metadata")


def own_passages(paths: Sequence[Path]) -> Iterator[Passage]:
    """The passages of a collection's files in the order of ``paths``.

    A JSON object has an ``id`` (or ``_id``, as in BEIR), a ``text`` (or ``contents``, as in Pyserini) and perhaps a ``title``; a TSV has
    ``id``, ``text`` and ``title``. Other fields are not read, and a warning names them.

    Raises:
        MissingFileError: A file is not there.
        DataError: A line is malformed, a field is missing or named twice over, or an id cannot be used.
    """
    for path in paths:
        yield from tsv_passages(path) if ".tsv" in path.suffixes else _json_passages(path)


def _json_passages(path: Path) -> Iterator[Passage]:
    warned: set[str] = set()
    for number, value in read_jsonl(path):
        record = Record(path, value, line=number)
        if more := value.keys() - {*_KNOWN, *warned}:
            _name_unread(record, sorted(more))
            warned |= more
        id_ = _id(record)
        check_id(id_, path, number)
        yield Passage(id_, record.get(_present(record, _TEXTS), str), record.optional("title", str, ""))


def _name_unread(record: Record, fields: list[str]) -> None:
    for field in fields:
        near = get_close_matches(field[:80], _KNOWN, n=1, cutoff=0.75)
        if near and near[0] not in record.values:
            raise record.error(f"unknown field {field!r:.80}. Did you mean {near[0]!r}? Known: {', '.join(_KNOWN)}")
    log.warning("%s:%s: fields not read: %s", record.path, record.line, ", ".join(repr(field)[:80] for field in fields[:10]))


def _id(record: Record) -> str:
    field = _present(record, _IDS)
    value = record.values.get(field)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else record.get(field, str)


def _present(record: Record, names: tuple[str, str]) -> str:
    """Which of two names the record uses; the first where it uses none, so that the error names it."""
    first, second = names
    if first in record.values and second in record.values:
        raise record.error(f"has both {first!r} and {second!r}; keep one")
    return second if second in record.values else first
