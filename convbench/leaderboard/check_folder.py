"""Checking one submission, wherever it stands: what ``verify`` would find without scoring it, as ``convbench validate`` says it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from convbench.errors import MissingFileError, ResourceError, UsageError
from convbench.leaderboard import card as cards
from convbench.leaderboard import track as tracks
from convbench.leaderboard.bound import accepted
from convbench.leaderboard.card import Card
from convbench.leaderboard.checks import check_copies, check_run
from convbench.leaderboard.contamination import TestSet, contamination
from convbench.leaderboard.days import ahead, today
from convbench.leaderboard.names import name_clashes, printable
from convbench.leaderboard.places import RUN, SUBMISSIONS
from convbench.leaderboard.safe_read import look_at_files, look_through, refused
from convbench.leaderboard.submission import Submission, read_card, read_cards, read_folder, read_packed
from convbench.leaderboard.track import Track, read_track, track_names
from convbench.leaderboard.track_data import Files, TrackData, open_track
from convbench.leaderboard.verified import Finding
from convbench.validation.checks import Severity
from convbench.validation.problems import Findings, Problem
from convbench.validation.validate import Report

_SEVERITIES: Mapping[str, Severity] = {"refused": "error", "flag": "warning", "note": "info"}
_UNPACKED = tuple(f"{name}{end}" for name in ("turns.jsonl", "retrieval.trec", "responses.jsonl") for end in ("", ".gz"))
"""Runs as they are before they are packed."""


def check_folder(folder: Path, *, root: Path, real_data: Path | None, data: Path | None, cache: Path) -> Report:
    """Checks a submission before it is sent, or where it stands.

    Below ``<track>/submissions`` of a folder of leaderboards its place says which track and id it has; elsewhere its card does. Nothing
    that the folder holds raises, and nothing is written but passage stores. Where the track's data are not at hand, that is a warning, and
    what can be looked at without them is.

    Args:
        folder: The folder.
        root: The folder of leaderboards whose tracks a submission that stands elsewhere may name.
        real_data: Folder of the samples of real data, for the sample tracks.
        data: The official files of the dataset, for its full-scale track.
        cache: Folder of passage stores.

    Raises:
        UsageError: ``data`` was given for a track that is not full-scale, or the files at hand are not the track's.
        MissingFileError: There are no tracks below ``root``.
        DataError: A track's file, or one of its dataset, is wrong.
    """
    findings = Findings()
    if not folder.is_dir():
        findings.fail(f"{folder}: no such folder" if not folder.exists() else f"{folder}: no folder; a submission is one, unpacked")
        return _report("submission", 0, findings)
    folder = folder.resolve() if ".." in folder.parts else folder.absolute()  # "." has a name, too; a link is to be seen as one
    boards = _boards_around(folder)
    card = _first_look(folder, boards, findings)
    track = _track(boards or root, folder.parents[1].name if boards else card.track, findings) if card else None
    if card is None or track is None:
        return _report("submission", 0, findings)
    opened = _data(track, real_data, data, cache, findings)
    turns = 0
    with _reading(findings):
        read = read_folder(folder, track, folder.name if boards else card.id, turns=opened.turn_ids if opened else None)
        turns = len(read.run.records) if read.run else 0
        _add(findings, *read.findings, *_beyond_reading(read, track, opened, boards or root, stands=boards is not None))
    return _report(f"submission to {track.name}", turns, findings)


def _boards_around(folder: Path) -> Path | None:
    """The folder of leaderboards that a submission stands in; None where it stands elsewhere."""
    above = folder.parents
    stands = len(above) > 2 and above[0].name == SUBMISSIONS and (above[1] / tracks.FILE).is_file()
    return above[2] if stands else None


def _first_look(folder: Path, boards: Path | None, findings: Findings) -> Card | None:
    """The card, where the folder holds nothing strange and the card can be read; else all that is wrong, and None."""
    with _reading(findings):
        if unpacked := _unpacked(folder):
            message = (
                f"{RUN} is missing, and {unpacked} is no part of a submission: pack a run folder with `convbench leaderboard submit`, "
                "a TREC run and responses with `convbench leaderboard import`"
            )
            _add(findings, refused("files", message))
        elif found := look_through(boards, folder.parents[1].name, folder.name).findings if boards else tuple(look_at_files(folder)):
            _add(findings, *found)
        elif isinstance(card := read_card(folder), Card):
            return card
        else:
            run = read_packed(folder)
            _add(findings, card, *((run,) if isinstance(run, Finding) else ()))
    return None


def _unpacked(folder: Path) -> str | None:
    """A run, or a card, as no submission has it, in a folder that has no packed run."""
    if os.path.lexists(folder / RUN):
        return None
    return next((name for name in (*_UNPACKED, "manifest.json") if os.path.lexists(folder / name)), None)


def _track(root: Path, name: str, findings: Findings) -> Track | None:
    try:
        return read_track(root, name)
    except UsageError as error:
        if name in track_names(root):  # the track itself is wrong, not the submission
            raise
        _add(findings, refused("other-track", f"{cards.FILE}: track: {error}"))
        return None


def _data(track: Track, real_data: Path | None, data: Path | None, cache: Path, findings: Findings) -> TrackData | None:
    """What the track is scored against, where it is at hand."""
    if data is not None and track.set is not None:
        raise UsageError(f"--data {data}: track {track.name} is scored on the set {track.set}, not on whole files: leave --data out")
    try:
        return open_track(track, Files(real_data, {track.dataset: data} if data is not None else {}), cache)
    except (MissingFileError, ResourceError) as error:
        if data is not None:
            raise
        findings.add("unchecked-dataset", reason=error)
        return None


def _beyond_reading(read: Submission, track: Track, data: TrackData | None, boards: Path, *, stands: bool) -> Iterator[Finding]:
    """What the track's data, its other submissions and the table of origins say of a submission that can be read."""
    if read.card is None or read.run is None:
        return
    card, records = read.card, read.run.records
    others = {submission: other for submission, other in read_cards(boards, track).items() if submission != read.id}
    before = accepted(boards, track.name) - (set() if stands else {read.id})
    yield from filter(None, (name_clashes({**others, read.id: card}, before).get(read.id), ahead(card, today())))
    if data is not None:
        yield from check_run(records, data)
        yield from check_copies(card, records, data.dataset.turns)
    if split := data.dataset.split if data is not None else track.split:
        yield from contamination(card, TestSet(track.dataset, split, track.contains)).findings


@contextmanager
def _reading(findings: Findings) -> Iterator[None]:
    """Whatever a file does to a library is something that is wrong with the folder."""
    try:
        yield
    except Exception as error:
        findings.fail(f"it could not be checked: {type(error).__name__}: {printable(str(error))}")


def _add(findings: Findings, *found: Finding) -> None:
    for each in found:
        findings.report(Problem(each.check, _SEVERITIES[each.severity], 1, each.message))


def _report(what: str, turns: int, findings: Findings) -> Report:
    return Report(what, turns, tuple(findings.problems()))
