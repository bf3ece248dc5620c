"""Rewrites that come apart from the dataset: JSON lines of ``{turn_id, rewrite}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from convbench.errors import DataError
from convbench.io.jsonl import read_jsonl
from convbench.io.records import Record
from convbench.types import Conversation, Exchange, Turn


def with_rewrites(conversations: Sequence[Conversation], path: Path, notes: list[str]) -> tuple[Conversation, ...]:
    """The conversations with the rewrites of a file, in turns and in histories.

    Args:
        conversations: The conversations.
        path: The file.
        notes: Gets a note where rewrites are for turns that are not here.

    Raises:
        DataError: Malformed, a second rewrite for a turn, or none that is for a turn here.
    """
    rewrites: dict[str, str] = {}
    for line, value in read_jsonl(path):
        record = Record(path, value, line=line)
        turn_id = record.get("turn_id", str)
        if turn_id in rewrites:
            raise record.error(f"a second rewrite for turn {turn_id!r}")
        rewrites[turn_id] = record.get("rewrite", str)
    known = {turn.id for conversation in conversations for turn in conversation.turns}
    spare = [turn_id for turn_id in rewrites if turn_id not in known]
    if len(spare) == len(rewrites):
        raise DataError(path, f"none of its {len(rewrites)} rewrites is for a turn of this split (first: {', '.join(spare[:3])})")
    if spare:
        notes.append(f"{path.name}: {len(spare)} rewrites are for turns outside this split (first: {', '.join(spare[:3])})")
    return tuple(replace(c, turns=tuple(_rewritten(c.turns, rewrites))) for c in conversations)


def _rewritten(turns: Sequence[Turn], rewrites: Mapping[str, str]) -> Iterator[Turn]:
    """The turns of one conversation. Their histories share exchanges and go on sharing them: copies would grow with the turns' square."""
    shared: dict[int, Exchange] = {}
    for turn in turns:
        for exchange in turn.history:
            if id(exchange) not in shared:
                shared[id(exchange)] = replace(exchange, rewrite=rewrites.get(exchange.turn_id, exchange.rewrite))
        history = tuple(shared[id(exchange)] for exchange in turn.history)
        yield replace(turn, rewrite=rewrites.get(turn.id, turn.rewrite), history=history)
