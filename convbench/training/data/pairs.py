"""Ad-hoc data, as MS MARCO's: JSON lines of a query, the passages that answer it and, perhaps, some that do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convbench.errors import DataError
from convbench.io.jsonl import read_jsonl
from convbench.io.records import Record
from convbench.training.data.chat import check_fields, record_id
from convbench.training.data.examples import passage_key
from convbench.types import Conversation, Passage, Turn

_FIELDS = ("id", "query", "positive", "positives", "negatives", "metadata")


@dataclass(frozen=True, slots=True)
class Pairs:
    """The queries of a file, each a conversation of one turn, and their passages by turn id."""

    conversations: tuple[Conversation, ...]
    positives: dict[str, tuple[Passage, ...]] = field(default_factory=dict)
    negatives: dict[str, tuple[Passage, ...]] = field(default_factory=dict)


def read_pairs(path: Path, name: str) -> Pairs:
    """Reads a file of pairs.

    A line has ``query``, and ``positive`` (one passage) or ``positives`` (a list, the best first); ``negatives`` (a list) and ``id`` may be
    there. A passage is a text or ``{"title", "text"}``. Passages have no ids of their own and are named by a digest of title and text. A
    negative with the text of a positive is left out.

    Args:
        path: The file, plain or gzipped.
        name: What the conversations give as their dataset.

    Raises:
        MissingFileError: There is no such file.
        DataError: A field is missing, unknown or of the wrong kind, a text is empty, an id comes twice, or there is no pair.
    """
    conversations: dict[str, Conversation] = {}
    positives: dict[str, tuple[Passage, ...]] = {}
    negatives: dict[str, tuple[Passage, ...]] = {}
    for line, value in read_jsonl(path):
        record = Record(path, value, line=line)
        check_fields(record, _FIELDS)
        id_ = record_id(record)
        if id_ in conversations:
            raise record.error(f"pair {id_!r} appears twice")
        query = record.get("query", str)
        if not query.strip():
            raise record.error("field 'query' is empty; expected what is searched for")
        turn = Turn(f"{id_}_1", query)
        conversations[id_] = Conversation(id_, name, "all", (turn,))
        positives[turn.id] = _positives(record)
        keys = {passage_key(passage) for passage in positives[turn.id]}
        wrong = [] if record.values.get("negatives") is None else list(_passages(record, "negatives", record.get("negatives", list)))
        if kept := tuple(passage for passage in wrong if passage_key(passage) not in keys):
            negatives[turn.id] = kept
    if not conversations:
        raise DataError(path, "holds no pair")
    return Pairs(tuple(conversations.values()), positives, negatives)


def _positives(record: Record) -> tuple[Passage, ...]:
    if ("positive" in record.values) == ("positives" in record.values):
        raise record.error("expected either 'positive' (one passage) or 'positives' (a list)")
    if "positive" in record.values:
        return tuple(_passages(record, "positive", [record.values["positive"]]))
    found = tuple(_passages(record, "positives", record.get("positives", list)))
    if not found:
        raise record.error("field 'positives' is an empty list; expected one passage at least")
    return found


def _passages(record: Record, name: str, values: list[Any]) -> Iterator[Passage]:
    for value in values:
        if isinstance(value, dict):
            passage = Record(record.path, value, line=record.line, where=name)
            check_fields(passage, ("title", "text", "metadata"))
            title, text = passage.optional("title", str, ""), passage.get("text", str)
        else:
            title, text = "", Record(record.path, {name: value}, line=record.line).get(name, str)
        if not text.strip():
            raise record.error(f"field {name!r}: a passage is empty; expected its text")
        yield Passage(f"text-{passage_key(Passage('', f'{title} {text}'))}", text, title)
