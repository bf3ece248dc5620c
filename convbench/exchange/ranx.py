"""ranx runs: ``{turn: {passage: score}}`` as JSON, the same compressed with LZ4, or a Parquet table."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convbench.errors import DataError, ResourceError, UsageError, reading_error
from convbench.exchange.judgements import id_text
from convbench.exchange.notes import Notes
from convbench.exchange.parquet import read_rows, write_rows
from convbench.exchange.run_format import RunFormat, add_record, note_empty_rankings, read_turn_id
from convbench.exchange.strict_json import finite_number, parse, read_document
from convbench.exchange.turn_ids import OWN, TurnIds
from convbench.io.atomic import atomic_path, write_text
from convbench.io.bounds import MAX_DOCUMENT
from convbench.io.records import Record
from convbench.types import Run, TurnRecord

PARQUET = (".parquet", ".parq")
LZ4 = ".lz4"
_COLUMNS = frozenset({"q_id", "doc_id", "score"})


def _read(path: Path, ids: TurnIds, notes: Notes) -> Run:
    records: dict[str, TurnRecord] = {}
    for name, passages_of in _parquet_turns(path, notes) if path.name.endswith(PARQUET) else _json_turns(path):
        turn = Record(path, passages_of, where=repr(name))
        turn_id = read_turn_id(ids, name, turn.error).own
        for passage_id in turn.values:
            turn.check_text("passage id", passage_id)
        passages = tuple((id_, finite_number(turn, score, f"passage {id_!r}")) for id_, score in turn.values.items())
        add_record(records, TurnRecord(turn_id, passages=passages), turn.error)
    return Run({}, records)


def _json_turns(path: Path) -> Iterator[tuple[str, Any]]:
    """(turn's name, its passages with scores) of a JSON object."""
    document = parse(path, _unpacked(path)) if path.name.endswith(LZ4) else read_document(path)
    if not isinstance(document, dict):
        raise DataError(path, f"expected a JSON object {{turn: {{passage: score}}}}, found {type(document).__name__}")
    whole = Record(path, document)
    for name, passages in document.items():
        whole.check_text("turn id", name)
        yield name, passages


def _parquet_turns(path: Path, notes: Notes) -> Iterator[tuple[str, Any]]:
    """The same of a table with the columns q_id, doc_id and score, its rows gathered by turn."""
    turns: dict[str, dict[str, Any]] = {}
    for row in read_rows(path):
        name, id_ = id_text(row, "q_id"), id_text(row, "doc_id")
        notes.unknown_fields(row.values, _COLUMNS, name)
        if id_ in turns.setdefault(name, {}):
            raise row.error(f"turn {name!r}: passage {id_!r} appears twice")
        turns[name][id_] = row.values.get("score")
    yield from turns.items()


def _write(path: Path, run: Run, names: Mapping[str, str], notes: Notes) -> None:
    if path.name.endswith(PARQUET):
        _write_parquet(path, run, names, notes)
        return
    document = json.dumps({names[record.turn_id]: dict(record.passages) for record in run.records.values()}, ensure_ascii=False, indent=1)
    if path.name.endswith(LZ4):
        with atomic_path(path) as temporary, _lz4().open(temporary, "wb") as handle:
            handle.write(document.encode())
    elif path.name.endswith(".json"):
        write_text(path, document + "\n")
    else:
        raise UsageError(f"{path}: ranx knows files by their names; end it in .json, {LZ4} or {PARQUET[0]}")


def _write_parquet(path: Path, run: Run, names: Mapping[str, str], notes: Notes) -> None:
    import pyarrow as pa

    note_empty_rankings(run, notes, "the table has a row a passage")
    rows = ((names[record.turn_id], id_, score) for record in run.records.values() for id_, score in record.passages)
    write_rows(path, {"q_id": pa.string(), "doc_id": pa.string(), "score": pa.float64()}, rows)


def _unpacked(path: Path) -> str:
    """The text in an LZ4 file."""
    try:
        with _lz4().open(path, "rb") as handle:
            data = handle.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise reading_error(error, path) or DataError(path, "not a readable LZ4 file") from None
    except (RuntimeError, EOFError):
        raise DataError(path, "not a readable LZ4 file: damaged or cut short") from None
    if len(data) > MAX_DOCUMENT:
        raise DataError(path, f"unpacks to more than {MAX_DOCUMENT:,} bytes, the most that is read as one document; save it as .parquet")
    try:
        return str(data.decode())
    except UnicodeDecodeError as error:
        raise DataError(path, f"not UTF-8 ({error.reason} at byte {error.start + 1})") from None


def _lz4() -> Any:
    try:
        return importlib.import_module("lz4.frame")
    except ImportError:
        raise ResourceError("LZ4 files need the package lz4: install it, or save the run as .json or .parquet") from None


FORMAT = RunFormat(
    name="ranx",
    description="ranx run: .json or .lz4 of {turn: {passage: score}}, or .parquet with q_id, doc_id, score",
    turn_ids=(OWN,),
    holds=frozenset({"passages"}),
    holds_header=frozenset(),
    read=_read,
    write=_write,
)
"""The format."""
