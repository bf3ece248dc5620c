"""SCAI-QReCC runs (the shared task of 2021 and 2022): one JSON list, an object a turn, turns named by two numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convbench.errors import DataError, UsageError
from convbench.exchange.notes import Notes
from convbench.exchange.run_format import RunFormat, add_record, read_turn_id
from convbench.exchange.strict_json import finite_number, read_document
from convbench.exchange.turn_ids import OWN, TurnIds, own_turn_id
from convbench.io.atomic import write_text
from convbench.io.records import Record
from convbench.types import Run, TurnRecord

_FIELDS = frozenset({"Conversation_no", "Turn_no", "Model_rewrite", "Model_passages", "Model_answer"})


def _read(path: Path, ids: TurnIds, notes: Notes) -> Run:
    if ids.patterns != (OWN,):
        raise UsageError("scai-qrecc names turns by two numbers, Conversation_no and Turn_no: leave --turn-ids out")
    document = read_document(path)
    if not isinstance(document, list):
        raise DataError(path, f"expected a JSON list of turns, found {type(document).__name__}")
    records: dict[str, TurnRecord] = {}
    for index, value in enumerate(document):
        record = Record(path, value, where=f"record {index}")
        add_record(records, _turn(record, ids, notes), record.error)
    return Run({}, records)


def _turn(record: Record, ids: TurnIds, notes: Notes) -> TurnRecord:
    name = f"{record.get('Conversation_no', int)}_{record.get('Turn_no', int)}"
    turn_id = read_turn_id(ids, name, record.error).own
    notes.unknown_fields(record.values, _FIELDS, turn_id)
    passages = record.optional("Model_passages", dict, {})
    for passage_id in passages:
        record.check_text("Model_passages", passage_id)
    return TurnRecord(
        turn_id,
        query=record.optional("Model_rewrite", str, ""),
        passages=tuple((id_, finite_number(record, score, f"passage {id_!r}")) for id_, score in passages.items()),
        response=record.get("Model_answer", str) if record.values.get("Model_answer") is not None else None,
    )


def _write(path: Path, run: Run, names: Mapping[str, str], notes: Notes) -> None:
    write_text(path, json.dumps([_object(record) for record in run.records.values()], ensure_ascii=False, indent=1) + "\n")


def _object(record: TurnRecord) -> dict[str, Any]:
    """Fields that a system does not have are left out, as the task asks for."""
    turn = own_turn_id(record.turn_id)
    if not re.fullmatch("0|[1-9][0-9]{0,17}", turn.conversation):
        raise UsageError(f"turn {record.turn_id!r}: scai-qrecc numbers conversations, and {turn.conversation!r} is no number")
    values: dict[str, Any] = {"Conversation_no": int(turn.conversation), "Turn_no": turn.number}
    if record.query:
        values["Model_rewrite"] = record.query
    if record.passages:
        values["Model_passages"] = dict(record.passages)
    if record.response is not None:
        values["Model_answer"] = record.response
    return values


FORMAT = RunFormat(
    name="scai-qrecc",
    description="SCAI-QReCC run: JSON list of Conversation_no, Turn_no, Model_rewrite, Model_passages, Model_answer",
    turn_ids=(OWN,),
    holds=frozenset({"query", "passages", "response"}),
    holds_header=frozenset(),
    read=_read,
    write=_write,
)
"""The format."""
