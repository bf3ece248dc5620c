"""CANARD: QuAC questions with human rewrites. Its answers are known only where a later question's history shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from convbench.io.records import Record, read_list
from convbench.types import Exchange, Reference, Turn

_NO_ANSWER = "I don't know."  # CANARD's words for QuAC's CANNOTANSWER
_HEADINGS = 2  # a history starts with the article's and the section's title


def read_canard(path: Path) -> Iterator[tuple[Record, Turn]]:
    """The turns of a CANARD file.

    Raises:
        MissingFileError: There is no such file.
        DataError: A record is malformed, or its history has not the length that its number asks for.
    """
    for dialog, records in groupby(read_list(path), key=lambda record: record.get("QuAC_dialog_id", str)):
        yield from _dialog(dialog, list(records))


def _dialog(dialog: str, records: Sequence[Record]) -> Iterator[tuple[Record, Turn]]:
    if any(character.isspace() for character in dialog):
        raise records[0].error(f"field 'QuAC_dialog_id': expected an id without white space, found {dialog!r}")
    numbers = [record.get("Question_no", int) for record in records]
    histories = [_history(record, number) for record, number in zip(records, numbers, strict=True)]
    answers = [history[-1] for history in histories[1:]]
    rewrites = {number: record.get("Rewrite", str) for record, number in zip(records, numbers, strict=True)}
    for index, (record, number, history) in enumerate(zip(records, numbers, histories, strict=True)):
        said = history[_HEADINGS:]
        exchanges = (
            Exchange(f"{dialog}_{n}", question, answer, rewrites.get(n))
            for n, (question, answer) in enumerate(zip(said[::2], said[1::2], strict=True), 1)
        )
        answer = answers[index] if index < len(answers) else None
        yield (
            record,
            Turn(
                id=f"{dialog}_{number}",
                query=record.get("Question", str),
                history=tuple(exchanges),
                references=() if answer is None else (Reference(answer),),
                rewrite=rewrites[number],
                topic=history[0],
                labels={} if answer is None else {"answerable": "no" if answer == _NO_ANSWER else "yes"},
            ),
        )


def _history(record: Record, number: int) -> list[str]:
    history, expected = record.strings("History"), _HEADINGS + 2 * (number - 1)
    if number < 1:
        raise record.error(f"field 'Question_no': expected 1 or more, found {number}")
    if len(history) != expected:
        raise record.error(f"field 'History' has {len(history)} items, expected {expected} for question {number}: title, section, turns")
    return history
