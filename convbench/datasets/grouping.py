"""Turns into conversations, and gold passages into a collection, each checked on the way."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from convbench.io.records import Record
from convbench.types import Conversation, Passage, Turn


def group_turns(dataset: str, split: str, turns: Iterable[tuple[Record, Turn]]) -> Iterator[Conversation]:
    """The conversations of a stream of turns in file order.

    Args:
        dataset: The dataset's name.
        split: The split's name.
        turns: Each turn with the record it was read from.

    Raises:
        DataError: A conversation's turns are not together, or not numbered 1, 2, 3 ...
    """
    finished: set[str] = set()
    for conversation, members in itertools.groupby(turns, key=lambda pair: pair[1].conversation_id):
        kept: list[Turn] = []
        for record, turn in members:
            if conversation in finished:
                raise record.error(f"conversation {conversation!r} goes on here after others; its turns must stand together")
            if turn.number != len(kept) + 1:
                raise record.error(f"conversation {conversation!r}: found turn {turn.number}, expected turn {len(kept) + 1}")
            kept.append(turn)
        finished.add(conversation)
        yield Conversation(conversation, dataset, split, tuple(kept))


def unique_passages(passages: Iterable[tuple[Record, Passage]]) -> tuple[Passage, ...]:
    """The passages without repeats, in first-seen order.

    Raises:
        DataError: One id has two texts (differences of white space aside).
    """
    first: dict[str, Passage] = {}
    for record, passage in passages:
        known = first.setdefault(passage.id, passage)
        if known.text != passage.text and known.text.split() != passage.text.split():
            raise record.error(f"passage {passage.id!r} has two texts: here {passage.text!r:.60}, before {known.text!r:.60}")
    return tuple(first.values())
