"""The turns of a dataset in convbench's own layout: one JSON object a turn, or one a conversation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from convbench.datasets.corpora import check_id
from convbench.io.jsonl import read_jsonl
from convbench.io.records import Record
from convbench.io.trec_run import BLANK
from convbench.registry import did_you_mean
from convbench.types import HIGHEST_GRADE, Exchange, Grades, Reference, Turn

MOST_TURNS = 5_000
"""The longest conversation that is read: every turn holds its history, so memory grows with the square of the number of turns."""

_WORDS = ("query", "response", "additional_responses", "rewrite", "topic", "labels", "knowledge", "gold", "metadata")
_TURN = ("conversation_id", "turn", *_WORDS)
_CONVERSATION = ("conversation_id", "turns", "metadata")
_INNER = ("turn", *_WORDS)
_UNUSABLE = re.compile(rf"[\s\x00-\x1f\x7f-\x9f\u2028\u2029{BLANK}]")


class OwnTurn(NamedTuple):
    """A turn as it is written: its id, and its record."""

    id: str
    record: Record


def read_own_turns(path: Path) -> Iterator[tuple[str, list[OwnTurn]]]:
    """Yields (conversation id, its turns) in file order; both forms, a line a turn and a line a conversation, may stand in one file.

    Raises:
        MissingFileError: There is no such file.
        DataError: A line is no JSON object, a field is unknown or of the wrong kind, an id cannot be used, the turns of a conversation are
            not 1, 2, 3 ... in one place, or there are more than ``MOST_TURNS`` of them.
    """
    finished: set[str] = set()
    records = (Record(path, value, line=line) for line, value in read_jsonl(path))
    for conversation, lines in groupby(records, key=_conversation_id):
        turns: list[OwnTurn] = []
        for record in lines:
            if conversation in finished:
                raise record.error(f"conversation {conversation!r} goes on here after others; its turns must stand together")
            for turn in _turns_of(record):
                number = turn.get("turn", int) if "turn" in turn.values or "turns" not in record.values else len(turns) + 1
                if number != len(turns) + 1:
                    raise turn.error(f"conversation {conversation!r}: found turn {number}, expected turn {len(turns) + 1}")
                if number > MOST_TURNS:
                    raise turn.error(f"conversation {conversation!r} has more than {MOST_TURNS} turns; cut it into several")
                turns.append(OwnTurn(f"{conversation}_{number}", turn))
        finished.add(conversation)
        yield conversation, turns


def written_grades(record: Record) -> dict[str, int]:
    """The field ``gold``: a list of passage ids (grade 1), or an object of grades by passage id."""
    gold = record.values.get("gold")
    if gold is None:
        return {}
    grades = dict.fromkeys(record.strings("gold"), 1) if isinstance(gold, list) else record.get("gold", dict)
    for passage, grade in grades.items():
        record.check_text("gold", passage)
        check_id(passage, record.path, record.line)
        if not isinstance(grade, int) or isinstance(grade, bool) or abs(grade) > HIGHEST_GRADE:
            expected = f"expected an integer of at most {HIGHEST_GRADE}"
            raise record.error(f"field 'gold': passage {passage!r:.80} has the grade {grade!r:.40}; {expected}")
    return grades


def build_turns(turns: Iterable[OwnTurn], qrels: Mapping[str, Grades]) -> Iterator[Turn]:
    """The turns of one conversation with their history, their gold passages taken from ``qrels`` (grades above 0)."""
    history: tuple[Exchange, ...] = ()
    for turn_id, record in turns:
        query, response = _text(record, "query"), _optional_text(record, "response")
        if query is None:
            raise record.error("field 'query' is empty; expected what the user said")
        rewrite = _optional_text(record, "rewrite")
        gold = {passage: grade for passage, grade in qrels.get(turn_id, {}).items() if grade > 0}
        topic, labels = _optional_text(record, "topic"), _labels(record)
        yield Turn(turn_id, query, history, tuple(_references(record, response)), gold, rewrite, topic, labels)
        history += (Exchange(turn_id, query, response, rewrite),)


def _conversation_id(record: Record) -> str:
    _check_fields(record, _CONVERSATION if "turns" in record.values else _TURN)
    return plain_id(record, "conversation_id")


def plain_id(record: Record, field: str) -> str:
    """An id that is written as a string or as a whole number.

    Raises:
        DataError: It is missing, of another kind, empty, or holds white space, a control character or U+2423.
    """
    value = record.values.get(field)
    id_ = str(value) if isinstance(value, int) and not isinstance(value, bool) else record.get(field, str)
    if not id_ or _UNUSABLE.search(id_):
        raise record.error(f"field {field!r}: found {id_!r:.80}, expected an id without white space, control characters and U+2423")
    return id_


def _turns_of(record: Record) -> Iterator[Record]:
    if "turns" not in record.values:
        yield record
        return
    for turn in record.records("turns"):
        _check_fields(turn, _INNER)
        yield turn


def _check_fields(record: Record, known: tuple[str, ...]) -> None:
    for field in record.values:
        if field not in known:
            hint = did_you_mean(field[:80], known)
            raise record.error(
                f"unknown field {field!r:.80}.{hint} Known: {', '.join(known)}; what convbench need not read goes into 'metadata'"
            )


def _text(record: Record, field: str) -> str | None:
    """A text, or None where there is nothing but blanks."""
    text = record.get(field, str)
    return text if text.strip() else None


def _optional_text(record: Record, field: str) -> str | None:
    return None if record.values.get(field) is None else _text(record, field)


def _references(record: Record, response: str | None) -> Iterator[Reference]:
    """Empty texts are no references."""
    if response is not None:
        yield Reference(response)
    if record.values.get("additional_responses") is not None:
        yield from (Reference(text, "additional") for text in record.strings("additional_responses") if text.strip())
    if knowledge := _optional_text(record, "knowledge"):
        yield Reference(knowledge, "knowledge")


def _labels(record: Record) -> dict[str, str]:
    labels: dict[str, str] = record.optional("labels", dict, {})
    for name, value in labels.items():
        record.check_text("labels", name)
        if not isinstance(value, str):
            raise record.error(f"field 'labels': {name!r:.80} is {value!r:.40}; expected a string")
        record.check_text("labels", value)
    if labels.get("answerable", "yes") not in ("yes", "no"):
        raise record.error(f"field 'labels': answerable is {labels['answerable']!r:.40}; expected 'yes' or 'no'")
    return labels
