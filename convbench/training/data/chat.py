"""Chat data: JSON lines ``{"messages": [{"role", "content"} ...]}``, every assistant message a response to what was said before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from convbench.datasets.own_turns import MOST_TURNS, plain_id
from convbench.errors import DataError
from convbench.io.jsonl import read_jsonl
from convbench.io.records import Record
from convbench.registry import did_you_mean
from convbench.types import Conversation, Exchange, Reference, Turn

ROLES = ("system", "user", "assistant")
"""System messages are left out: a session has no place for them."""

_FIELDS = ("id", "messages", "metadata")


@dataclass(frozen=True, slots=True)
class Chat:
    """The conversations of a file, and how many system messages were left out of them."""

    conversations: tuple[Conversation, ...]
    system_messages: int


def read_chat(path: Path, name: str) -> Chat:
    """Reads a file of chat.

    Messages of one role that follow each other are one utterance, with line ends between them. What the assistant says before the user does
    is history of the turns that follow. A last user message without an answer is a turn without a response. Ids are the field ``id``, or
    ``line-<n>``.

    Args:
        path: The file, plain or gzipped.
        name: What the conversations give as their dataset.

    Raises:
        MissingFileError: There is no such file.
        DataError: A field is missing, unknown or of the wrong kind, a role is unknown, a message is empty, an id comes twice, or there is
            no conversation.
    """
    conversations: dict[str, Conversation] = {}
    left_out = 0
    for line, value in read_jsonl(path):
        record = Record(path, value, line=line)
        check_fields(record, _FIELDS)
        id_ = record_id(record)
        if id_ in conversations:
            raise record.error(f"conversation {id_!r} appears twice")
        messages = [_message(message) for message in record.records("messages")]
        if not any(role == "user" for role, _ in messages):
            raise record.error("field 'messages': holds no message of the user; expected one at least")
        left_out += sum(role == "system" for role, _ in messages)
        said = [(role, text) for role, text in messages if role != "system"]
        if len(said) > 2 * MOST_TURNS:
            raise record.error(f"conversation {id_!r} has more than {2 * MOST_TURNS} messages; cut it into several")
        conversations[id_] = Conversation(id_, name, "all", tuple(_turns(id_, said)))
    if not conversations:
        raise DataError(path, "holds no conversation")
    return Chat(tuple(conversations.values()), left_out)


def check_fields(record: Record, known: tuple[str, ...]) -> None:
    """Refuses unknown fields, so that a misspelt one loses nothing."""
    for field in record.values:
        if field not in known:
            hint = did_you_mean(field[:80], known)
            raise record.error(f"unknown field {field!r:.80}.{hint} Known: {', '.join(known)}; what is not read goes into 'metadata'")


def record_id(record: Record) -> str:
    """The field ``id``, or ``line-<n>``."""
    return plain_id(record, "id") if record.values.get("id") is not None else f"line-{record.line}"


def _message(record: Record) -> tuple[str, str]:
    check_fields(record, ("role", "content", "metadata"))
    role, text = record.get("role", str), record.get("content", str)
    if role not in ROLES:
        raise record.error(f"field 'role': found {role!r:.40}, expected {', '.join(ROLES)}")
    if not text.strip():
        raise record.error("field 'content' is empty; expected what was said")
    return role, text


def _turns(conversation: str, said: list[tuple[str, str]]) -> Iterator[Turn]:
    history: tuple[Exchange, ...] = ()
    for query, response in _exchanges(said):
        id_ = f"{conversation}_{len(history) + 1}"
        if query:
            yield Turn(id_, query, history, (Reference(response),) if response else ())
        history += (Exchange(id_, query, response),)


def _exchanges(said: list[tuple[str, str]]) -> Iterator[tuple[str, str | None]]:
    """Pairs of what the user said ("" where the assistant begins) and the response (None where there is none)."""
    waiting = ""
    for role, group in groupby(said, key=lambda message: message[0]):
        text = "\n".join(text for _, text in group)
        if role == "user":
            waiting = text
        else:
            yield waiting, text
            waiting = ""
    if waiting:
        yield waiting, None
