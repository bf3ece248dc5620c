"""MTRAG runs (IBM's multi-turn RAG benchmark): JSON lines, a task a turn, with retrieved contexts and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convbench.exchange.notes import Notes
from convbench.exchange.run_format import RunFormat, add_record, header_text, read_turn_id
from convbench.exchange.strict_json import finite_number, read_objects
from convbench.exchange.turn_ids import CONVERSATION, TURN, TurnIds, own_turn_id
from convbench.io.atomic import atomic_text
from convbench.io.jsonl import dump_line
from convbench.io.records import Record
from convbench.types import Run, TurnRecord

_FIELDS = frozenset({"task_id", "conversation_id", "turn", "Collection", "contexts", "predictions"})
_CONTEXT = frozenset({"document_id", "score"})
_PREDICTION = frozenset({"text"})


def _read(path: Path, ids: TurnIds, notes: Notes) -> Run:
    records: dict[str, TurnRecord] = {}
    collections: dict[str, str] = {}
    for task in read_objects(path):
        turn_id = read_turn_id(ids, task.get("task_id", str), task.error).own
        notes.unknown_fields(task.values, _FIELDS, turn_id)
        add_record(records, _record(task, turn_id, notes), task.error)
        collections[task.optional("Collection", str, "")] = turn_id
    if len(collections) > 1:
        notes.add("names of collections", next(iter(collections.values())), "a run has one dataset", count=len(collections))
    name = next(iter(collections), "")
    return Run({"dataset": name} if name and len(collections) == 1 else {}, records)


def _record(task: Record, turn_id: str, notes: Notes) -> TurnRecord:
    """Contexts with scores are a ranking; contexts without are what the generator was given, and no ranking."""
    contexts = task.records("contexts") if task.values.get("contexts") is not None else []
    scores: dict[str, float | None] = {}
    for context in contexts:
        notes.unknown_fields(context.values, _CONTEXT, turn_id, prefix="contexts.")
        id_, score = context.get("document_id", str), context.values.get("score")
        if id_ in scores:
            raise context.error(f"turn {turn_id!r}: passage {id_!r} appears twice")
        scores[id_] = None if score is None else finite_number(context, score, f"turn {turn_id!r}: passage {id_!r}")
    scored = {id_: score for id_, score in scores.items() if score is not None}
    if scored and len(scored) < len(scores):
        bare = next(id_ for id_ in scores if id_ not in scored)
        raise task.error(f"turn {turn_id!r}: passage {bare!r} has no score and others have one; give all or none of them a score")
    response = _response(task, turn_id, notes)
    return TurnRecord(turn_id, passages=tuple(scored.items()), response=response, evidence=() if scored else tuple(scores))


def _response(task: Record, turn_id: str, notes: Notes) -> str | None:
    predictions = task.records("predictions") if task.values.get("predictions") is not None else []
    for prediction in predictions[:1]:
        notes.unknown_fields(prediction.values, _PREDICTION, turn_id, prefix="predictions.")
    if len(predictions) > 1:
        notes.add("later predictions", turn_id, "a turn has one response", count=len(predictions) - 1)
    return predictions[0].get("text", str) if predictions else None


def _write(path: Path, run: Run, names: Mapping[str, str], notes: Notes) -> None:
    collection = header_text(run, "dataset", "")
    with atomic_text(path) as handle:
        for record in run.records.values():
            handle.write(dump_line(_task(record, names[record.turn_id], collection, notes)))


def _task(record: TurnRecord, name: str, collection: str, notes: Notes) -> dict[str, Any]:
    if record.evidence and (record.passages or len(set(record.evidence)) < len(record.evidence)):
        notes.add("evidence beside a ranking", record.turn_id, "mtrag has one list of contexts, and the ranking is written")
    contexts: list[dict[str, Any]] = [{"document_id": id_, "score": score} for id_, score in record.passages]
    turn = own_turn_id(record.turn_id)
    return {
        "task_id": name,
        "conversation_id": turn.conversation,
        "turn": turn.number,
        "Collection": collection,
        "contexts": contexts or [{"document_id": id_} for id_ in dict.fromkeys(record.evidence)],
        "predictions": [{"text": record.response}] if record.response is not None else [],
    }


FORMAT = RunFormat(
    name="mtrag",
    description="MTRAG: JSON lines of task_id, contexts and predictions",
    turn_ids=(f"{CONVERSATION}<::>{TURN}", f"{CONVERSATION}::{TURN}"),
    holds=frozenset({"passages", "response", "evidence"}),
    holds_header=frozenset({"dataset"}),
    read=_read,
    write=_write,
)
"""The format."""
