"""Plain responses: JSON lines of ``{"turn_id", "response"}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from convbench.exchange.notes import Notes
from convbench.exchange.run_format import RunFormat, add_record, read_turn_id
from convbench.exchange.strict_json import read_objects
from convbench.exchange.turn_ids import OWN, TurnIds
from convbench.io.atomic import atomic_text
from convbench.io.jsonl import dump_line
from convbench.io.records import Record
from convbench.types import Run, TurnRecord

_TURN_ID = ("turn_id", "id", "qid", "query_id")
_RESPONSE = ("response", "answer", "prediction", "text")


def _read(path: Path, ids: TurnIds, notes: Notes) -> Run:
    records: dict[str, TurnRecord] = {}
    for record in read_objects(path):
        id_field, response_field = _one_of(record, _TURN_ID), _one_of(record, _RESPONSE)
        turn_id = read_turn_id(ids, record.get(id_field, str), record.error).own
        notes.unknown_fields(record.values, frozenset({id_field, response_field, "abstained"}), turn_id)
        response = record.get(response_field, str) if record.values[response_field] is not None else None
        abstained = record.optional("abstained", bool, False)
        add_record(records, TurnRecord(turn_id, response=response, abstained=abstained), record.error)
    return Run({}, records)


def _one_of(record: Record, fields: Sequence[str]) -> str:
    """The one field of these that a record has."""
    found = [field for field in fields if field in record.values]
    if len(found) != 1:
        shown = f"found {' and '.join(found)}: remove or rename the others" if found else f"found only {', '.join(record.values) or 'none'}"
        raise record.error(f"expected one of the fields {', '.join(fields)}; {shown}")
    return found[0]


def _write(path: Path, run: Run, names: Mapping[str, str], notes: Notes) -> None:
    with atomic_text(path) as handle:
        for record in run.records.values():
            abstained = {"abstained": True} if record.abstained else {}
            handle.write(dump_line({"turn_id": names[record.turn_id], "response": record.response, **abstained}))


FORMAT = RunFormat(
    name="responses",
    description='plain responses: JSON lines of {"turn_id", "response"}',
    turn_ids=(OWN,),
    holds=frozenset({"response", "abstained"}),
    holds_header=frozenset(),
    read=_read,
    write=_write,
)
"""The format."""
