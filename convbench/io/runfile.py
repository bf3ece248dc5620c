"""The joint run file: a header line, then one JSON object a turn with query, passages and response."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from convbench.errors import DataError, RunFileError
from convbench.io.atomic import atomic_text
from convbench.io.jsonl import dump_line, read_jsonl
from convbench.io.records import Record
from convbench.types import Run, TurnRecord

SCHEMA = "convbench.run/1"


def record_to_json(record: TurnRecord) -> dict[str, Any]:
    """One turn as it stands in the file (``passages`` as [id, score] pairs)."""
    return {
        "turn_id": record.turn_id,
        "query": record.query,
        "passages": list(map(list, record.passages)),
        "response": record.response,
        "evidence": list(record.evidence),
        "abstained": record.abstained,
        "usage": dict(record.usage),
        "ledger": dict(record.ledger),
    }


def _passages(record: Record) -> tuple[tuple[str, float], ...]:
    """Accepts ``[id, score]`` pairs and ``{"id", "score"}`` objects; scores must be finite, ids unique."""
    pairs: dict[str, float] = {}
    for index, item in enumerate(record.optional("passages", list, [])):
        if isinstance(item, dict):
            item = [item.get("id"), item.get("score")]
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], str):
            raise record.error(f"passages[{index}]: expected [id, score], found {item!r:.80}")
        passage_id, score = item
        record.check_text(f"passages[{index}]", passage_id)
        if isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) <= sys.float_info.max:
            turn_id = record.values.get("turn_id")
            raise _unusable(record, f"turn {turn_id!r}: passage {passage_id!r}: score {score!r:.40} is not a finite number")
        if passage_id in pairs:
            raise record.error(f"turn {record.values.get('turn_id')!r}: passage {passage_id!r} appears twice")
        pairs[passage_id] = float(score)
    return tuple(pairs.items())


def record_from_json(record: Record) -> TurnRecord:
    """Reads one turn line. Only ``turn_id`` is required, so that other tools' files are easy to write."""
    response = record.values.get("response")
    if response is not None:
        if not isinstance(response, str):
            raise record.error(f"field 'response': expected a string or null, found {type(response).__name__}")
        record.check_text("response", response)
    return TurnRecord(
        turn_id=record.get("turn_id", str),
        query=record.optional("query", str, ""),
        passages=_passages(record),
        response=response,
        evidence=tuple(record.strings("evidence")) if record.values.get("evidence") is not None else (),
        abstained=record.optional("abstained", bool, False),
        usage=_notes(record, "usage"),
        ledger=_notes(record, "ledger"),
    )


def _notes(record: Record, field: str) -> dict[str, Any]:
    """An object that is carried along as it is."""
    values = record.optional(field, dict, {})
    _check_writable(record, field, values)
    return values


def _check_writable(record: Record, field: str, values: dict[str, Any]) -> None:
    """What is carried along must fit into a file again: JSON knows no NaN and infinity, and UTF-8 no half of a surrogate pair."""
    try:
        text = dump_line(values)
    except ValueError:
        raise _unusable(record, f"field {field!r} holds a number that is not finite") from None
    record.check_text(field, text)


def _unusable(record: Record, message: str) -> RunFileError:
    """The file is what its format says, but the run in it cannot be evaluated."""
    return RunFileError(str(record.error(message)))


def header_line(header: Mapping[str, object]) -> str:
    """The first line of the file."""
    return dump_line({"schema": SCHEMA, **header})


def write_run(path: Path, header: Mapping[str, object], records: Iterable[TurnRecord]) -> None:
    """Writes a joint run atomically."""
    with atomic_text(path) as handle:
        handle.write(header_line(header))
        for record in records:
            handle.write(dump_line(record_to_json(record)))


def read_run(path: Path) -> Run:
    """Reads a joint run file, plain or gzipped; a file without a header line is accepted.

    Raises:
        DataError: Not JSON lines, another schema, a turn twice, a passage twice.
        RunFileError: A number that is not finite.
    """
    header: dict[str, Any] | None = None
    records: dict[str, TurnRecord] = {}
    for line, value in read_jsonl(path):
        if "schema" in value and not records and header is None:
            if value["schema"] != SCHEMA:
                raise DataError(path, f"schema {value['schema']!r} is not known; expected {SCHEMA!r}", line=line)
            header = {key: item for key, item in value.items() if key != "schema"}
            _check_writable(Record(path, value, line=line), "header", header)
            continue
        record = record_from_json(Record(path, value, line=line))
        if record.turn_id in records:
            raise DataError(path, f"turn {record.turn_id!r} appears twice", line=line)
        records[record.turn_id] = record
    return Run(header or {}, records)
