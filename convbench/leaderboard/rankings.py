"""The rankings of a run that came from elsewhere: ids that files can hold, canonical order, and no more passages than a track keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from convbench.datasets.corpora import check_id
from convbench.errors import DataError, RunFileError
from convbench.leaderboard.names import printable, unseen_character
from convbench.leaderboard.places import RUN
from convbench.leaderboard.verified import Finding
from convbench.retrieval.canonical import LARGEST, canonical, is_canonical
from convbench.types import Ranking, Run, TurnRecord

LONGEST_ID = 1000
"""Characters of a turn's or a passage's id."""


def checked_run(run: Run, path: Path) -> Run:
    """The run with every ranking in canonical order.

    Args:
        run: The run, as it was read.
        path: Its file, for messages.

    Raises:
        DataError: No turn, or an id that is too long, or that no file and no page can hold.
        RunFileError: A score that has no place in a ranking, or a passage twice.
    """
    if not run.records:
        raise DataError(path, "holds no turns")
    return replace(run, records={turn_id: _checked(record, path) for turn_id, record in run.records.items()})


def cut(run: Run, depth: int) -> tuple[Run, tuple[Finding, ...]]:
    """The run with at most so many passages a turn, and a note where it had more."""
    deeper = [turn_id for turn_id, record in run.records.items() if len(record.passages) > depth]
    if not deeper:
        return run, ()
    records = {turn_id: replace(record, passages=record.passages[:depth]) for turn_id, record in run.records.items()}
    message = f"{RUN}: {len(deeper)} turns have more than {depth} passages (first: {deeper[0]}); those below are not scored"
    return replace(run, records=records), (Finding(check="depth", severity="note", message=message),)


def _checked(record: TurnRecord, path: Path) -> TurnRecord:
    turn_id = record.turn_id
    unseen = unseen_character(turn_id)
    if unseen or not turn_id or len(turn_id) > LONGEST_ID or any(map(str.isspace, turn_id)):
        problem = f"holds {unseen}" if unseen else "is empty, longer than 1,000 characters, or holds a blank"
        raise DataError(path, f"turn {printable(turn_id)!r}: its id {problem}; expected <conversation>_<n>")
    for passage_id, _ in record.passages:
        if len(passage_id) > LONGEST_ID:
            raise DataError(path, f"turn {turn_id}: a passage's id has {len(passage_id):,} characters, the most is {LONGEST_ID:,}")
        try:
            check_id(passage_id, path)
        except DataError as error:
            raise DataError(path, f"turn {turn_id}: {str(error).removeprefix(f'{path}: ')}") from None
    if all(abs(score) <= LARGEST for _, score in record.passages) and is_canonical(Ranking(turn_id, record.passages)):
        return record  # nearly all are, and looking is faster than making them so
    try:
        return replace(record, passages=canonical(turn_id, record.passages).passages)
    except RunFileError as error:
        raise RunFileError(f"{path}: {error}") from None
