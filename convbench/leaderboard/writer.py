"""Writing the folder of a submission, whole or not at all, after everything was looked at that reading it will look at."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from convbench.errors import UsageError
from convbench.io.atomic import atomic_folder
from convbench.io.jsonl import dump_line
from convbench.io.runfile import SCHEMA
from convbench.leaderboard.card import FILE, ID, Card
from convbench.leaderboard.days import ahead, today
from convbench.leaderboard.fitting import misfits
from convbench.leaderboard.names import name_clashes, printable
from convbench.leaderboard.places import RUN, submission_folder
from convbench.leaderboard.rankings import checked_run, cut
from convbench.leaderboard.safe_read import check_bounds
from convbench.leaderboard.submission import read_cards
from convbench.leaderboard.track import Track
from convbench.types import Run, TurnRecord


def write_submission(card: Card, run: Run, track: Track, root: Path, *, source: Path, turns: Sequence[str] | None = None) -> Path:
    """Writes a submission's folder; the same card and run give the same bytes.

    Args:
        card: Its card.
        run: Its run.
        track: The track.
        root: The folder of leaderboards.
        source: Where the run came from, for messages.
        turns: The ids of the track's turns, where they are at hand.

    Returns:
        The folder.

    Raises:
        DataError, RunFileError: The run holds an id or a score that cannot be used.
        UsageError: Card or run do not fit the track, or the id or name is taken.
    """
    run, _ = cut(checked_run(run, source), track.depth)
    wrong = [finding.message for finding in misfits(card, run, track, turns) if finding.severity == "refused"]
    if wrong:
        raise UsageError(f"{source}: not packed for {track.name}: {'; '.join(wrong)}")
    refuse_beside_others(card, track, root)
    folder = new_folder_for(card.id, track, root)
    with atomic_folder(folder) as temporary:
        values = card.model_dump(mode="json", exclude_defaults=True)
        (temporary / FILE).write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
        _write_run(temporary / RUN, run)
        check_bounds(temporary / RUN)
    return folder


def new_folder_for(submission: str, track: Track, root: Path) -> Path:
    """The folder that a new submission gets.

    Raises:
        UsageError: It is there already, or the id is none.
    """
    if not re.fullmatch(ID, submission):  # before anything is made: it may be a path that leads elsewhere
        rule = "expected up to 64 of a-z, 0-9, '.' and '-', a letter or digit first"
        raise UsageError(f"{printable(submission)!r} is no id of a submission; {rule}")
    folder = submission_folder(root, track.name, submission)
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder}: exists already; choose another id, or remove it if it is not needed")
    return folder


def refuse_beside_others(card: Card, track: Track, root: Path) -> None:
    """Raises where a new submission cannot stand beside those that are there, or not yet.

    Raises:
        UsageError: Its name is another one's, or looks like it; or its day lies ahead.
    """
    others = {id_: other for id_, other in read_cards(root, track).items() if id_ != card.id}
    if (clash := name_clashes({**others, card.id: card}, accepted=others).get(card.id)) or (clash := ahead(card, today())):
        raise UsageError(f"not packed for {track.name}: {clash.message}")


def _write_run(path: Path, run: Run) -> None:
    """Writes a packed joint run without the time and the name that gzip would keep, so that the same run gives the same bytes."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(dump_line({"schema": SCHEMA, **run.header}).encode())
        for record in run.records.values():
            packed.write(dump_line(_scored(record)).encode())


def _scored(record: TurnRecord) -> dict[str, Any]:
    """What is scored of a record: the query, and what the run noted beside it, stay where the run was made."""
    values = {
        "passages": [[passage_id, _in_few_digits(score)] for passage_id, score in record.passages],
        "response": record.response,
        "evidence": list(record.evidence),
        "abstained": record.abstained,
    }
    return {"turn_id": record.turn_id, **{key: value for key, value in values.items() if value or value == ""}}


def _in_few_digits(score: float) -> float:
    """The shortest decimal that is the same 32-bit float, as which scores are compared; half the size of a packed run is scores."""
    single = np.float32(score)
    return float(str(single)) if single == score else score
