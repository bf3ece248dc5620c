"""TREC iKAT runs (2023 and 2024): one JSON object, responses with the passages they rest on, topics named ``9-1``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convbench.exchange.notes import Notes
from convbench.exchange.run_format import RunFormat, add_record, header_text, read_turn_id, run_name
from convbench.exchange.strict_json import finite_number, read_document
from convbench.exchange.turn_ids import OWN, TurnIds
from convbench.io.atomic import write_text
from convbench.io.records import Record
from convbench.types import Run, TurnRecord

_RUN = frozenset({"run_name", "run_type", "turns"})
_TURN = frozenset({"turn_id", "responses"})
_RESPONSE = frozenset({"rank", "text", "passage_provenance"})
_PROVENANCE = frozenset({"id", "score", "used"})


def _read(path: Path, ids: TurnIds, notes: Notes) -> Run:
    run = Record(path, read_document(path))
    notes.unknown_fields(run.values, _RUN, "the run")
    records: dict[str, TurnRecord] = {}
    for turn in run.records("turns"):
        turn_id = read_turn_id(ids, turn.get("turn_id", str), turn.error).own
        add_record(records, _record(turn, turn_id, notes), turn.error)
    header = {key: run.get(key, str) for key in ("run_name", "run_type") if run.values.get(key) is not None}
    return Run(header, records)


def _record(turn: Record, turn_id: str, notes: Notes) -> TurnRecord:
    """The first response's text and, in the track's order, the passages of all: response by response, each passage where it is first."""
    notes.unknown_fields(turn.values, _TURN, turn_id)
    responses = turn.records("responses") if turn.values.get("responses") is not None else []
    responses.sort(key=lambda response: response.optional("rank", int, 0))
    passages: dict[str, float] = {}
    used: list[str] = []
    for place, response in enumerate(responses):
        notes.unknown_fields(response.values, _RESPONSE, turn_id)
        own = _provenance(response, turn_id, notes)
        if place == 0:
            used = [passage_id for passage_id, (_, was_used) in own.items() if was_used]
        elif response.values.get("text"):
            notes.add("text of later responses", turn_id, "a turn has one response")
        passages |= {id_: score for id_, (score, _) in own.items() if id_ not in passages}
    if sum(1 for response in responses if response.values.get("passage_provenance")) > 1:
        notes.add("scores of rankings", turn_id, "several responses have passages: their order became the score")
        passages = {id_: float(len(passages) - rank) for rank, id_ in enumerate(passages)}
    text = responses[0].values.get("text") if responses else None
    response_text = responses[0].get("text", str) if text is not None else None
    return TurnRecord(turn_id, passages=tuple(passages.items()), response=response_text, evidence=tuple(used))


def _provenance(response: Record, turn_id: str, notes: Notes) -> dict[str, tuple[float, bool]]:
    """Passage id -> (score, used), best first within the response."""
    found: dict[str, tuple[float, bool]] = {}
    for passage in response.records("passage_provenance") if response.values.get("passage_provenance") is not None else []:
        notes.unknown_fields(passage.values, _PROVENANCE, turn_id, prefix="passage_provenance.")
        id_ = passage.get("id", str)
        if id_ in found:
            raise passage.error(f"turn {turn_id!r}: passage {id_!r} appears twice in one response")
        score = finite_number(passage, passage.values.get("score"), f"turn {turn_id!r}: passage {id_!r}")
        found[id_] = score, passage.optional("used", bool, False)
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _write(path: Path, run: Run, names: Mapping[str, str], notes: Notes) -> None:
    turns = [_turn(record, names[record.turn_id], notes) for record in run.records.values()]
    values = {"run_name": run_name(run), "run_type": header_text(run, "run_type", "automatic"), "turns": turns}
    write_text(path, json.dumps(values, ensure_ascii=False, indent=1) + "\n")


def _turn(record: TurnRecord, name: str, notes: Notes) -> dict[str, Any]:
    evidence = set(record.evidence)
    if record.evidence != tuple(id_ for id_, _ in record.passages if id_ in evidence):
        notes.add("order of the evidence, or evidence outside the ranking", record.turn_id, "ikat marks passages of the ranking as used")
    provenance = [{"id": id_, "text": "", "score": score, "used": id_ in evidence} for id_, score in record.passages]
    text = {"text": record.response} if record.response is not None else {}
    return {"turn_id": name, "responses": [{"rank": 1, **text, "ptkb_provenance": [], "passage_provenance": provenance}]}


FORMAT = RunFormat(
    name="ikat",
    description="TREC iKAT run (2023, 2024): JSON of run_name, run_type and turns with responses and passage_provenance",
    turn_ids=(OWN,),
    holds=frozenset({"passages", "response", "evidence"}),
    holds_header=frozenset({"run_name", "run_type"}),
    read=_read,
    write=_write,
)
"""The format."""
