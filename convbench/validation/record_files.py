"""Joint runs and response files, JSON lines both, read so that everything wrong with them is found."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError
from convbench.io.bounds import MAX_DEPTH, too_deep
from convbench.io.records import Record
from convbench.io.runfile import SCHEMA, record_from_json
from convbench.io.trec_run import BLANK
from convbench.retrieval.canonical import LARGEST
from convbench.validation.ids import check_passage_id, check_turn_id
from convbench.validation.lines import control_character, scan_lines
from convbench.validation.problems import Findings
from convbench.validation.ranking_table import RankingTable

_TOO_DEEP = f"deeper than {MAX_DEPTH} levels"
_LAYOUT = str.maketrans(dict.fromkeys("\t\n\r", " "))
"""Responses may have several lines."""


@dataclass(frozen=True, slots=True)
class ScannedRecords:
    """What a joint run or a response file holds.

    Attributes:
        table: Its rankings; it has all turns.
        responses: Turn id -> the response; turns without one are left out, what is no text is empty.
        header: The header line, where there is one.
    """

    table: RankingTable = field(default_factory=RankingTable)
    responses: dict[str, str] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)


def scan_joint_run(path: Path, findings: Findings) -> ScannedRecords:
    """The records of a joint run."""
    scanned = ScannedRecords()
    for number, values in scan_objects(path, findings):
        if "schema" in values and not scanned.table.turns and not scanned.header:
            if values["schema"] != SCHEMA:
                findings.add("schema", f"{values['schema']!r:.80}", number, expected=SCHEMA)
            scanned.header.update(values)
        elif (turn_id := _new_turn(values, number, scanned, findings)) is not None:
            _check_other_fields(Record(path, values, line=number), findings)
            _add_passages(values.get("passages"), turn_id, number, scanned, findings)
            _add_response(values, turn_id, number, scanned, findings)
    _check_gaps(scanned, findings)
    return scanned


def scan_responses(path: Path, findings: Findings) -> ScannedRecords:
    """The responses of a file of ``{turn_id, response}``; other fields are not looked at."""
    scanned = ScannedRecords()
    for number, values in scan_objects(path, findings):
        if (turn_id := _new_turn(values, number, scanned, findings)) is not None:
            if values.get("response") is None:
                findings.add("fields", f"turn {turn_id}: 'response' is missing", number)
            _add_response(values, turn_id, number, scanned, findings)
    if not scanned.table.turns:
        findings.add("empty")
    return scanned


def scan_objects(path: Path, findings: Findings) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON-lines file with their line numbers."""
    for number, line in scan_lines(path, findings):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:  # Python also limits the digits of a number
            findings.add("json", str(error).partition(": line")[0].partition(";")[0], number)
        except RecursionError:
            findings.add("json", _TOO_DEEP, number)
        else:
            if not isinstance(value, dict):
                findings.add("json", f"found {type(value).__name__}", number)
            elif too_deep(value):
                findings.add("json", _TOO_DEEP, number)
            else:
                yield number, value


def _new_turn(values: Mapping[str, Any], number: int, scanned: ScannedRecords, findings: Findings) -> str | None:
    turn_id = values.get("turn_id")
    if not isinstance(turn_id, str) or not turn_id or not _is_text(turn_id):
        found = f"found {turn_id!r:.60}" if "turn_id" in values else "missing"
        findings.add("fields", f"'turn_id': expected a string, {found}", number)
        return None
    _, new = scanned.table.turn(turn_id, number)
    if new:
        check_turn_id(turn_id, number, findings)
    else:
        findings.add("duplicate-turns", turn_id, number)
    return turn_id if new else None


def _add_response(values: Mapping[str, Any], turn_id: str, number: int, scanned: ScannedRecords, findings: Findings) -> None:
    response = values.get("response")
    if response is None:
        return
    if not isinstance(response, str) or not _is_text(response):
        findings.add("fields", f"turn {turn_id}: 'response': expected a string, found {response!r:.60}", number)
        scanned.responses[turn_id] = ""
        return
    scanned.responses[turn_id] = response
    if not response.strip():
        if values.get("abstained") is not True:
            findings.add("empty-responses", turn_id, number)
    elif control := control_character(response.translate(_LAYOUT)):
        findings.add("response-characters", f"turn {turn_id}: {control}", number)


def _add_passages(passages: Any, turn_id: str, number: int, scanned: ScannedRecords, findings: Findings) -> None:
    """Adds the ranking: ``[id, score]`` pairs, or ``{"id", "score"}`` objects; the place in the list is the rank."""
    if passages is None:
        return
    if not isinstance(passages, list):
        findings.add("fields", f"turn {turn_id}: 'passages': expected a list, found {type(passages).__name__}", number)
        return
    turn, _ = scanned.table.turn(turn_id, number)
    for rank, item in enumerate(passages, 1):
        pair = [item.get("id"), item.get("score")] if isinstance(item, dict) else item
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or not _is_text(pair[0]):
            findings.add("fields", f"turn {turn_id}: 'passages': expected [id, score], found {item!r:.60}", number)
            scanned.table.spoilt.add(turn_id)
            continue
        passage_id, score = pair
        usable = isinstance(score, int | float) and not isinstance(score, bool) and abs(score) <= LARGEST
        if not usable:
            findings.add("scores", f"{score!r:.40} of turn {turn_id}", number)
        check_passage_id(passage_id, turn_id, number, findings)
        if BLANK in passage_id:
            findings.add("fields", f"turn {turn_id}: passage {passage_id!r} holds U+2423, which stands for a blank in TREC runs", number)
        scanned.table.add(turn, passage_id, rank, float(score) if usable else math.nan, number)


def _check_other_fields(record: Record, findings: Findings) -> None:
    """The rest is read as the strict reader does, which stops at the first fault of a record."""
    own = {"turn_id": "", "passages": None, "response": None}
    try:
        record_from_json(Record(record.path, {**record.values, **own}, line=record.line))
    except ConvbenchError as error:
        findings.add("fields", str(error).removeprefix(f"{record.path}:{record.line}: "), record.line)


def _check_gaps(scanned: ScannedRecords, findings: Findings) -> None:
    """Turns that lack what others have."""
    table = scanned.table
    if not table.turns:
        findings.add("empty")
    ranked = set(table.columns().turn.tolist())
    for turn_id, number in table.turns.items():
        if table.passages and number not in ranked and turn_id not in table.spoilt:
            findings.add("empty-rankings", turn_id, table.lines[number])
        if scanned.responses and turn_id not in scanned.responses:
            findings.add("missing-responses", turn_id, table.lines[number])


def _is_text(value: str) -> bool:
    """JSON's escapes can name half of a surrogate pair, which no file takes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
