"""What can go from a folder of runs: runs that never finished, rows of stages that were given up, half-written files.

Nothing is removed but what convbench itself writes. A file of anybody else stays, and the folder with it. Links are never followed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convbench.errors import ConvbenchError, storage_error
from convbench.store.locks import LOCK, holding
from convbench.store.places import MARKS, StoredRun, stored_runs
from convbench.store.row import read_row

DAY = 86_400.0
"""Seconds."""

Kind = Literal["run", "stage", "temporary"]

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
_OWN = re.compile(
    r"run\.json|results\.json|turns\.jsonl|retrieval\.trec|scores\.jsonl|scores\.parquet|report\.(md|html)|agreement-(own|gold)\.jsonl"
    r"|\.lock|\.scores\.[0-9a-f]+\.parquet"
)
_OWN_STAGE = re.compile(r".+\.(jsonl|manifest\.json|part)")
_LAST = {name: place for place, name in enumerate(("results.json", "run.json", LOCK), start=1)}
"""What makes a run folder goes last: a removal that was interrupted leaves one, which the next removal finds."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that can go.

    Args:
        kind: A whole run, rows of a stage that was given up, or half-written files.
        place: The run folder; the file, for a temporary one.
        files: The files to remove.
        bytes: Their size.
        days: How long ago the youngest of them was written.
        reason: Why it can go.
        run: The run folder whose lock must be free; None outside of one.
    """

    kind: Kind
    place: Path
    files: tuple[Path, ...]
    bytes: int
    days: float
    reason: str
    run: Path | None


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that stays, though it was looked at, and why; ``partly`` where all else of it went."""

    place: Path
    reason: str
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What can go, and what stays and should be known of."""

    garbage: tuple[Garbage, ...]
    kept: tuple[Kept, ...]


def plan_removal(root: Path, *, days: float, finished: bool = False, now: float | None = None) -> Plan:
    """Looks for what can go. Changes nothing.

    Args:
        root: The folder.
        days: Only what was last written longer ago.
        finished: Finished runs too.
        now: Seconds since the epoch; None for the clock's.

    Raises:
        MissingFileError: No run is here or below.
    """
    clock = time.time() if now is None else now
    root = root.resolve()  # whoever names a link means the folder; links within it are another matter
    garbage: list[Garbage] = []
    kept: list[Kept] = []
    for run in stored_runs(str(root)):
        for found in _of_run(run, finished, clock):
            if isinstance(found, Kept):
                kept.append(found)
            elif found.days >= days:
                garbage.append(found)
    garbage.extend(found for found in _loose(root, clock) if found.days >= days)
    return Plan(tuple(garbage), tuple(kept))


def remove(found: Garbage) -> Kept | None:
    """Removes it, unless a process has begun to work in the run folder.

    Returns:
        What stays of it, and why; None where nothing does.

    Raises:
        StorageError: It may not be removed.
    """
    if found.run is None:
        _unlink(found.files)
        return None
    with holding(found.run, make=found.kind == "run") as free:
        if not free:
            return Kept(found.run, "a process works in it")
        changed = [path for path in found.files if path.name != LOCK and path.exists() and _days(path, time.time()) + 1e-3 < found.days]
        if changed:
            return Kept(found.run, f"{changed[0].name} was written in the meantime")
        _unlink(found.files)
        if found.kind != "run":
            return None
        _unlink([found.run / LOCK])
    return _without_folder(found.run)


def _of_run(run: StoredRun, finished: bool, now: float) -> Iterator[Garbage | Kept]:
    folder = Path(run.place)
    with holding(folder) as free:
        pass
    if not free:
        yield Kept(folder, "a process works in it")
        return
    try:
        row = read_row(run)
    except ConvbenchError as error:
        yield Kept(folder, f"cannot be read, so look at it yourself: {error}")
        return
    if row.status != "finished" or finished:
        if not (own := _own_files(folder)):
            yield Kept(folder, "holds no files of its own, only links")
            return
        reason = {"failed": "the run failed", "stale": "the run never finished, and no process works in it"}.get(row.status, "finished")
        yield _garbage("run", folder, own, reason, now, folder)
        return
    stages = folder / "stages"
    parts = [path for path in _plain_files(stages) if path.suffix == ".part"]
    halves = [path for path in (*_plain_files(folder), *_plain_files(stages)) if _TEMPORARY.fullmatch(path.name)]
    if parts:
        yield _garbage("stage", folder, parts, "rows of stages that were given up, in a finished run", now, folder)
    for path in halves:
        yield _garbage("temporary", path, [path], "half-written", now, folder)


def _loose(root: Path, now: float) -> Iterator[Garbage]:
    """Half-written files above the run folders: reports over several runs."""
    for folder, folders, names in os.walk(root):
        if set(MARKS) & set(names):
            folders[:] = [name for name in folders if name != "stages"]
            continue
        for path in sorted(_plain_files(Path(folder))):
            if path.name.startswith(".report.") and _TEMPORARY.fullmatch(path.name):
                yield _garbage("temporary", path, [path], "half-written", now, None)


def _own_files(folder: Path) -> list[Path]:
    """Every file of a run folder that convbench writes."""
    above = [path for path in _plain_files(folder) if _OWN.fullmatch(path.name) or _TEMPORARY.fullmatch(path.name)]
    below = [path for path in _plain_files(folder / "stages") if _OWN_STAGE.fullmatch(path.name) or _TEMPORARY.fullmatch(path.name)]
    return [*below, *sorted(above, key=lambda path: _LAST.get(path.name, 0))]


def _plain_files(folder: Path) -> list[Path]:
    """The files of a folder; no links, and nothing where the folder is one."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())


def _garbage(kind: Kind, place: Path, files: Sequence[Path], reason: str, now: float, run: Path | None) -> Garbage:
    youngest = min(_days(path, now) for path in files)
    return Garbage(kind, place, tuple(files), sum(path.lstat().st_size for path in files), youngest, reason, run)


def _days(path: Path, now: float) -> float:
    """Days since a file was written; 0 where it has gone, or was written in what is the future by this clock."""
    try:
        return max(0.0, (now - path.lstat().st_mtime) / DAY)
    except FileNotFoundError:
        return 0.0


def _unlink(files: Sequence[Path]) -> None:
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, path) or error from error


def _without_folder(folder: Path) -> Kept | None:
    """Removes the empty folders of a run whose files are gone."""
    for path in (folder / "stages", folder):
        if path.is_symlink() or not path.is_dir():
            continue
        if others := sorted(each.name for each in path.iterdir()):
            return Kept(path, f"holds what no run wrote: {', '.join(others[:3])}{' ...' if len(others) > 3 else ''}", partly=True)
        path.rmdir()
    return None
