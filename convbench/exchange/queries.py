"""Queries of a retrieval data set as the turns of conversations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from convbench.exchange.judgements import id_text
from convbench.exchange.notes import Notes
from convbench.exchange.run_format import read_turn_id
from convbench.exchange.turn_ids import TurnIds
from convbench.io.records import Record

_USER, _SYSTEM = frozenset({"user", "human"}), frozenset({"assistant", "agent"})
_FIELDS = frozenset({"_id", "id", "text", "metadata"})
METADATA = "convbench"
"""The key in a BEIR query's ``metadata`` under which the rest of a turn stands."""


@dataclass(slots=True)
class TurnRow:
    """A turn as it is gathered from the queries: what a line of ``conversations.jsonl`` holds."""

    query: str
    response: str | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def line(self, conversation: str, number: int) -> dict[str, Any]:
        """The line."""
        response = {"response": self.response} if self.response is not None else {}
        return {"conversation_id": conversation, "turn": number, "query": self.query, **response, **self.more}


class Conversations:
    """The conversations that queries belong to.

    A query is a text, or a whole conversation up to it (as MTEB's conversational tasks have it): a list of ``{"role", "content"}``, or of
    texts, which take turns and end with the user's. Then the earlier turns are taken from it, whether they are queries themselves or not.

    Attributes:
        turns: Conversation -> number -> turn, conversations in order of first meeting.
        ids: Query id -> our turn id.
    """

    def __init__(self, ids: TurnIds, notes: Notes) -> None:
        self.turns: dict[str, dict[int, TurnRow]] = {}
        self.ids: dict[str, str] = {}
        self._pattern, self._notes = ids, notes

    def add_all(self, records: Iterable[Record]) -> None:
        """Reads the queries, then checks that every conversation is whole.

        Raises:
            DataError: A malformed query, two that disagree, or a conversation with a hole.
        """
        last: dict[str, Record] = {}
        for record in records:
            last[self._add(record)] = record
        for conversation, turns in self.turns.items():
            self.turns[conversation] = dict(sorted(turns.items()))
            for expected, found in enumerate(self.turns[conversation], 1):
                if found != expected:
                    raise last[conversation].error(
                        f"conversation {conversation!r}: no turn {expected}, but a turn {found}; if every query is to stand alone, say "
                        "--turn-ids '<conversation>'"
                    )

    def _add(self, record: Record) -> str:
        query_id = id_text(record, "_id" if "_id" in record.values else "id")
        if query_id in self.ids:
            raise record.error(f"query {query_id!r} appears twice")
        self._notes.unknown_fields(record.values, _FIELDS, query_id)
        exchanges = _exchanges(record, query_id, self._notes)
        turn = read_turn_id(self._pattern, query_id, record.error)
        number = turn.number or len(exchanges)
        if isinstance(record.values["text"], list) and number != len(exchanges):
            raise record.error(f"query {query_id!r} is turn {number}, but its text holds {len(exchanges)} utterances of the user")
        self.ids[query_id] = f"{turn.conversation}_{number}"
        turns = self.turns.setdefault(turn.conversation, {})
        for place, (query, response) in enumerate(exchanges, number - len(exchanges) + 1):
            if not query.strip():
                raise record.error(f"query {query_id!r}: turn {place} is empty; expected what the user said")
            _merge(turns.setdefault(place, TurnRow(query)), query, response, record, query_id)
        turns[number].more |= _more(record, query_id, turns[number], self._notes)
        return turn.conversation


def _exchanges(record: Record, query_id: str, notes: Notes) -> list[tuple[str, str | None]]:
    """(what the user said, what the system answered) up to the query, which has no answer yet."""
    text = record.values.get("text")
    if not isinstance(text, list):
        return [(record.get("text", str), None)]
    exchanges: list[tuple[str, str | None]] = []
    for place, (by_user, said) in enumerate(_utterances(record)):
        if by_user:
            exchanges.append((said, None))
        elif not exchanges and place == 0:
            notes.add("opening words of the system", query_id, "a turn begins with the user's words")
        elif not exchanges or exchanges[-1][1] is not None:
            raise record.error(f"query {query_id!r}: the system speaks twice in a row (utterance {place + 1})")
        else:
            exchanges[-1] = (exchanges[-1][0], said)
    if not exchanges or exchanges[-1][1] is not None:
        raise record.error(f"query {query_id!r}: expected a conversation that ends with the user's words")
    return exchanges


def _utterances(record: Record) -> list[tuple[bool, str]]:
    """(whether it is the user's, text), in order."""
    items = record.values["text"]
    if items and isinstance(items[0], str):
        texts = record.strings("text")
        return [((len(texts) - place) % 2 == 1, text) for place, text in enumerate(texts)]
    utterances = []
    for message in record.records("text"):
        role = message.get("role", str)
        if role not in _USER | _SYSTEM:
            raise message.error(f"field 'role': expected user or assistant, found {role!r:.40}")
        utterances.append((role in _USER, message.get("content", str)))
    return utterances


def _merge(turn: TurnRow, query: str, response: str | None, record: Record, query_id: str) -> None:
    if turn.query != query:
        raise record.error(f"query {query_id!r}: an earlier query says {turn.query!r:.60} where this one says {query!r:.60}")
    if response is not None:
        if turn.response not in (None, response):
            raise record.error(f"query {query_id!r}: an earlier query has the answer {turn.response!r:.60}, this one {response!r:.60}")
        turn.response = response


def _more(record: Record, query_id: str, turn: TurnRow, notes: Notes) -> dict[str, Any]:
    """The rest of a turn, where convbench wrote the folder; other metadata is counted."""
    if record.values.get("metadata") is None:
        return {}
    metadata = record.record("metadata")
    notes.unknown_fields(metadata.values, frozenset({METADATA}), query_id, prefix="metadata.")
    if metadata.values.get(METADATA) is None:
        return {}
    own = metadata.record(METADATA)
    more: dict[str, Any] = {name: own.get(name, str) for name in ("rewrite", "topic", "knowledge") if name in own.values}
    if "response" in own.values:
        turn.response = own.get("response", str)
    if "additional_responses" in own.values:
        more["additional_responses"] = own.strings("additional_responses")
    if "labels" in own.values:
        labels = own.record("labels")
        more["labels"] = {label: labels.get(label, str) for label in labels.values}
    return more
