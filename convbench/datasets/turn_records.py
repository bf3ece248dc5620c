"""Turn records, one object a turn, as conversations: complete, in order, and with the context that each of them writes down."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from convbench.io.records import Record


def group_records(records: Iterable[Record], conversation: str, turn: str) -> Iterator[tuple[int, list[Record]]]:
    """Yields (conversation number, its records) in file order.

    Args:
        records: The turns.
        conversation: The field that holds the conversation's number.
        turn: The field that holds the turn's number.

    Raises:
        DataError: The records of a conversation do not stand together, or its turns are not 1, 2, 3 ... in file order.
    """
    finished: set[int] = set()
    for number, group in groupby(records, key=lambda record: record.get(conversation, int)):
        turns = list(group)
        if number in finished:
            raise turns[0].error(f"conversation {number} goes on here after others; its turns must stand together")
        for expected, record in enumerate(turns, 1):
            if (found := record.get(turn, int)) != expected:
                raise record.error(f"conversation {number}: found turn {found}, expected turn {expected}")
        finished.add(number)
        yield number, turns


def check_context(record: Record, turn_id: str, context: Sequence[str], expected: Sequence[tuple[str, str]]) -> None:
    """Checks a record's written ``context`` against (what it is, text) of the earlier turns.

    Raises:
        DataError: They differ; the message names the first difference.
    """
    texts = [text for _, text in expected]
    for place in range(max(len(texts), len(context))):
        if list(context[place : place + 1]) != texts[place : place + 1]:
            found = f"{context[place]!r:.80}" if place < len(context) else "missing"
            wanted = f"the {expected[place][0]} ({texts[place]!r:.80})" if place < len(expected) else "nothing more"
            raise record.error(
                f"turn {turn_id}: the written context disagrees with the earlier turns: text {place + 1} is {found}, expected {wanted}"
            )
