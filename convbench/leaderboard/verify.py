"""Verifying submissions: each is read, checked and scored again; then those of a track are tested against one another."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from convbench.errors import MissingFileError, ResourceError
from convbench.io.atomic import write_text
from convbench.io.cache import cache_root
from convbench.io.digests import value_sha256
from convbench.io.sealed import sealed, unsealed
from convbench.leaderboard.bound import accepted
from convbench.leaderboard.card import Card
from convbench.leaderboard.days import ahead, today
from convbench.leaderboard.measured import Measured, competes, key_of, measure, remember, remembered
from convbench.leaderboard.measures import ranking_measures
from convbench.leaderboard.names import name_clashes, printable
from convbench.leaderboard.pairs import PairCache
from convbench.leaderboard.places import submission_folder, submission_ids
from convbench.leaderboard.same_runs import same_runs
from convbench.leaderboard.separate import separated
from convbench.leaderboard.submission import read_cards
from convbench.leaderboard.track import Track, read_track, track_names
from convbench.leaderboard.track_data import Files, TrackData, open_track
from convbench.leaderboard.verified import FILE, Finding, Verified
from convbench.leaderboard.verified_file import write_verified

log = logging.getLogger(__name__)

_WORTH_A_PROCESS = 4000
"""Turns to be scored from which on a second process saves more than it costs to start."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What verifying gave for one submission.

    Attributes:
        track: The track.
        submission: The submission; empty where the track as a whole was passed over.
        verified: What stands in its ``verified.json`` now; None where the track was passed over, or verifying the submission broke.
        scored: Whether it was scored now, and not known from before.
        changed: Whether its ``verified.json`` was written, or is other than it was.
        reason: Why the track was passed over, or what broke.
    """

    track: str
    submission: str
    verified: Verified | None
    scored: bool = False
    changed: bool = False
    reason: str = ""

    @property
    def broken(self) -> bool:
        """Whether it could not be verified for something that is no fault of the submission; its ``verified.json`` stays as it was."""
        return bool(self.submission) and self.verified is None


def verify(root: Path, tracks: Sequence[str] = (), *, files: Files, jobs: int = 2, cache: Path | None = None) -> list[Outcome]:
    """Verifies the submissions of tracks and writes the ``verified.json`` of each.

    What was measured before under the same key is taken from the cache; a ``verified.json`` that is already there is never believed. Tracks
    without submissions are not opened. Where a track's data are not at hand, its files stay as they are and the outcome says why.

    Args:
        root: The folder of leaderboards.
        tracks: Names of tracks; all where there are none.
        files: Where datasets are.
        jobs: Processes that score at most.
        cache: Folder of stores and of what was measured; None: the user's.

    Raises:
        UsageError: A track does not exist, or its files are not those that are at hand.
        DataError: A ``track.yaml`` or a file of a dataset is wrong.
    """
    place = cache or cache_root()
    outcomes: list[Outcome] = []
    for name in tracks or track_names(root):
        track = read_track(root, name)
        if not submission_ids(root, name):
            continue
        try:
            data = open_track(track, files, place)
        except (MissingFileError, ResourceError) as error:
            log.warning("%s is passed over: %s", name, error)
            outcomes.append(Outcome(name, "", None, reason=str(error)))
            continue
        outcomes += _verified(root, data, files, jobs, place)
    return outcomes


def _verified(root: Path, data: TrackData, files: Files, jobs: int, cache: Path) -> Iterator[Outcome]:
    name = data.track.name
    before = accepted(root, name)
    keys = {submission: key_of(root, data, submission) for submission in submission_ids(root, name)}
    known = {submission: old for submission, key in keys.items() if (old := remembered(cache, key)) is not None}
    todo = {submission: key for submission, key in keys.items() if submission not in known}
    fresh: dict[str, Measured] = {}
    for submission, new in measure_each(root, data, todo, files, jobs, cache):
        if isinstance(new, Exception):
            log.error("%s/%s: %r; its %s stays as it was", name, submission, new, FILE, exc_info=new)
            yield Outcome(name, submission, None, reason=printable(f"{type(new).__name__}: {new}"))
            continue
        fresh[submission] = new
        remember(cache, new)
    found = known | fresh
    cards = read_cards(root, data.track)
    measured = _together(found, cards, before)
    apart = _separated(data, cards, measured, cache)
    for submission in sorted(measured):
        own = measured[submission]
        verified = Verified(
            key=own.key,
            manifest_sha256=own.manifest_sha256,
            run_sha256=own.run_sha256,
            level=own.level,
            findings=own.findings,
            scores=own.scores,
            separated={by: told[submission] for by, told in apart.items() if told.get(submission)},
            contaminated=own.contaminated,
        )
        yield _written(root, Outcome(name, submission, verified, submission in fresh))


def _together(found: Mapping[str, Measured], cards: Mapping[str, Card], before: AbstractSet[str]) -> dict[str, Measured]:
    """With what shows only beside the others, or on this day: days that lie ahead, names that look alike, runs that are the same.

    Args:
        found: What was found of each by itself.
        cards: The cards that can be read.
        before: Those that were accepted before, as they are now.
    """
    now = today()
    measured = {submission: _with(own, ahead(cards.get(submission), now)) for submission, own in found.items()}
    standing = {submission for submission, own in measured.items() if not own.refused} | (
        before - measured.keys()
    )  # what broke stands, too
    clashes = name_clashes({submission: card for submission, card in cards.items() if submission in standing}, before)
    same = same_runs({submission: own.content for submission, own in measured.items() if not own.refused})
    return {submission: _with(own, clashes.get(submission), same.get(submission)) for submission, own in measured.items()}


def _with(measured: Measured, *found: Finding | None) -> Measured:
    """With further findings."""
    new = tuple(finding for finding in found if finding is not None)
    level = None if any(finding.severity == "refused" for finding in new) else measured.level
    return measured.model_copy(update={"level": level, "findings": (*measured.findings, *new)}) if new else measured


def _written(root: Path, outcome: Outcome) -> Outcome:
    """An outcome after its ``verified.json`` was written, or with the finding that it cannot be."""
    assert outcome.verified is not None
    written = write_verified(submission_folder(root, outcome.track, outcome.submission), outcome.verified)
    if isinstance(written, bool):
        return replace(outcome, changed=written)
    return replace(outcome, verified=outcome.verified.model_copy(update={"level": None, "findings": (*outcome.verified.findings, written)}))


def _separated(
    data: TrackData, cards: Mapping[str, Card], measured: Mapping[str, Measured], cache: Path
) -> dict[str, dict[str, tuple[str, ...]]]:
    """What ``separate.separated`` says of the submissions that compete; remembered, too."""
    competing = {submission: own for submission, own in measured.items() if competes(cards.get(submission), own)}
    by_measure = {
        name: {submission: own.by_turn[name] for submission, own in competing.items() if name in own.by_turn}
        for name in ranking_measures(data.track)
    }
    key = value_sha256(["separated", 1, {name: {id_: competing[id_].key for id_ in values} for name, values in by_measure.items()}])
    file = cache / "leaderboards" / "separated" / f"{key}.json"
    try:
        known = unsealed(json.loads(file.read_text(encoding="utf-8")))["separated"]
        return {name: {id_: tuple(others) for id_, others in found.items()} for name, found in known.items()}
    except (OSError, ValueError, KeyError):
        found = separated(by_measure, data.turn_ids)
        write_text(file, json.dumps(sealed({"separated": found})) + "\n")
        return found


def measure_each(
    root: Path, data: TrackData, todo: Mapping[str, str], files: Files, jobs: int, cache: Path
) -> Iterator[tuple[str, Measured | Exception]]:
    """Measures submissions, in this process where they are few or small, else in others; or what broke in the attempt."""
    if jobs < 2 or len(todo) < 2 or len(todo) * len(data.turn_ids) < _WORTH_A_PROCESS:
        pairs = PairCache(_pairs_file(cache))
        yield from ((submission, _tried(root, data, submission, key, pairs)) for submission, key in todo.items())
        return
    left = dict(todo)
    try:
        for submission, measured in _in_processes(root, data.track, left, files, min(jobs, len(left)), cache):
            del left[submission]
            yield submission, measured
    except BrokenProcessPool:  # one of them took a process down: each of the rest gets one of its own, so that only that one is lost
        for submission, key in list(left.items()):
            try:
                yield from _in_processes(root, data.track, {submission: key}, files, 1, cache)
            except BrokenProcessPool:
                yield submission, RuntimeError("the process that scored it was ended")


def _in_processes(
    root: Path, track: Track, todo: Mapping[str, str], files: Files, jobs: int, cache: Path
) -> Iterator[tuple[str, Measured | Exception]]:
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(root, track, files, cache)) as pool:
        futures = {submission: pool.submit(_work, submission, key) for submission, key in todo.items()}
        for submission, future in futures.items():
            yield submission, future.result()


_place: tuple[Path, TrackData, PairCache]


def _start(root: Path, track: Track, files: Files, cache: Path) -> None:
    """Opens the track once in a process that scores."""
    global _place
    _place = root, open_track(track, files, cache), PairCache(_pairs_file(cache))
    gc.freeze()  # the dataset stays; looking through it for garbage takes a third of the time
    gc.set_threshold(200_000)


def _work(submission: str, key: str) -> Measured | Exception:
    root, data, pairs = _place
    found = _tried(root, data, submission, key, pairs)
    return RuntimeError(f"{type(found).__name__}: {found}") if isinstance(found, Exception) else found  # not every error can be sent


def _tried(root: Path, data: TrackData, submission: str, key: str, pairs: PairCache | None) -> Measured | Exception:
    """What was measured, or what broke: neither a fault of ours nor one of a library refuses a submission, or stops the others."""
    try:
        return measure(root, data, submission, key, pairs)
    except Exception as error:
        return error


def _pairs_file(cache: Path) -> Path:
    return cache / "leaderboards" / "pairs.sqlite"
