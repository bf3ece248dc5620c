"""The files of a BEIR folder or of a data set laid out for the hub: where corpus, queries and judgements of a split are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from convbench.errors import MissingFileError
from convbench.exchange.notes import Notes
from convbench.exchange.parquet import read_rows
from convbench.exchange.strict_json import read_objects
from convbench.io.records import Record

CORPUS, QUERIES, QRELS = "corpus", "queries", "qrels"

_PLACES = {CORPUS: ("corpus",), QUERIES: ("queries", "query"), QRELS: ("qrels", "default", "data")}
_KINDS = (".tsv", ".jsonl", ".parquet")
"""Best first: where one part is there in several forms, BEIR's own is read."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}.*$")


def find_part(root: Path, part: str, split: str | None, notes: Notes) -> list[Path]:
    """The files of a part, in order: ``<part>.jsonl``, or those of one split in the folder ``<part>``.

    Args:
        root: The folder.
        part: ``corpus``, ``queries`` or ``qrels``.
        split: The split. The judgements decide it: without one they are those of ``test``, else of the only split there is.
        notes: Files that are passed over are counted here.

    Raises:
        MissingFileError: There is no such part, or several splits and none is meant.
    """
    if not root.is_dir():
        raise MissingFileError(f"{root}: no such folder; expected one with corpus, queries and qrels")
    splits = splits_of(root, part)
    if not splits:
        where = " or ".join(f"{place}/" for place in _PLACES[part])
        raise MissingFileError(f"{root}: no {part}: expected {part}.jsonl, or .tsv, .jsonl or .parquet files in {where}")
    chosen = split if split in splits else None
    if chosen is None and (split is None or part != QRELS):
        chosen = "test" if "test" in splits else next(iter(splits)) if len(splits) == 1 else None
    if chosen is None:
        wanted = f"no {part} of the split {split!r}" if split else f"{part} of several splits"
        raise MissingFileError(f"{root}: {wanted}; there are {', '.join(splits)}: name one with --split")
    kinds = splits[chosen]
    best = next(kind for kind in _KINDS if kind in kinds)
    for kind in kinds:
        if kind != best:
            notes.add(f"{part} in {kind} files", kinds[kind][0].name, f"the {best} files are read", count=len(kinds[kind]))
    return kinds[best]


def split_of(path: Path) -> str:
    """The split that a file's name says: ``test`` of ``test.tsv``, ``test-00000-of-00001.parquet`` and ``test/0000.parquet``."""
    stem = _SHARD.sub("", path.name.removesuffix(".gz").removesuffix(_kind(path) or ""))
    return path.parent.name if stem.isdecimal() else stem


def rows(paths: list[Path]) -> Iterator[Record]:
    """The objects in JSON-lines and Parquet files."""
    for path in paths:
        yield from read_rows(path) if path.name.endswith(".parquet") else read_objects(path)


def splits_of(root: Path, part: str) -> dict[str, dict[str, list[Path]]]:
    """Split -> kind of file -> files, of the first place that has any."""
    for place in _PLACES[part]:
        found: dict[str, dict[str, list[Path]]] = {}
        for path in (*sorted(root.glob(f"{place}.*")), *sorted((root / place).rglob("*"))):
            if path.is_file() and (kind := _kind(path)) and (kind != ".tsv" or part == QRELS):
                found.setdefault(split_of(path), {}).setdefault(kind, []).append(path)
        if found:
            return found
    return {}


def _kind(path: Path) -> str | None:
    return next((kind for kind in _KINDS if path.name.removesuffix(".gz").endswith(kind)), None)
