"""What can go from a folder of runs: runs that never finished, rows of stages that were given up, half-written files.

Nothing is removed but what convbench itself writes. A file of anybody else stays, and the folder with it. Links are never followed.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convbench.errors import ConvbenchError, storage_error
from convbench.harness.folder import RunFolder
from convbench.progress import progress_bar
from convbench.store.locks import LOCK, holding
from convbench.store.own_files import given_up, half_written, half_written_reports, own_files
from convbench.store.places import MARKS, StoredRun, stored_runs
from convbench.store.row import RunRow, read_row

DAY = 86_400.0
"""Seconds."""

Kind = Literal["run", "stage", "temporary"]


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
    runs = stored_runs(str(root))
    with progress_bar("looking at runs", len(runs), unit="run") as advance:
        for run in runs:
            for found in _looked_at(run, finished, clock):
                if isinstance(found, Kept):
                    kept.append(found)
                elif found.days >= days:
                    garbage.append(found)
            advance(1)
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


def _looked_at(run: StoredRun, finished: bool, now: float) -> list[Garbage | Kept]:
    try:
        return list(_of_run(run, finished, now))
    except (ConvbenchError, OSError) as error:
        if not Path(run.place).exists():
            return []  # another process has removed it
        return [Kept(Path(run.place), f"cannot be read, so look at it yourself: {error}")]


def _of_run(run: StoredRun, finished: bool, now: float) -> Iterator[Garbage | Kept]:
    folder = Path(run.place)
    with holding(folder) as free:
        pass
    if not free:
        yield Kept(folder, "a process works in it")
        return
    row, stages = read_row(run), [stage["name"] for stage in RunFolder(folder).read_info()["stages"]]
    if finished or not (row.status == "finished" or row.scored):
        if not (own := own_files(folder, stages)):
            yield Kept(folder, "holds no files of its own, only links")
            return
        yield _garbage("run", folder, own, _reason(row), now, folder)
        return
    if row.status != "finished":
        yield Kept(folder, f"{_reason(row)}: its scores go only with --finished")
        return
    if parts := given_up(folder, stages):
        yield _garbage("stage", folder, parts, "rows of stages that were given up, in a finished run", now, folder)
    for path in half_written(folder, stages):
        yield _garbage("temporary", path, [path], "half-written", now, folder)


def _reason(row: RunRow) -> str:
    reason = {"failed": "the run failed", "stale": "the run never finished, and no process works in it"}.get(row.status, "finished")
    return "it was scored, and a later execution did not finish" if row.scored and row.status != "finished" else reason


def _loose(root: Path, now: float) -> Iterator[Garbage]:
    """Half-written files above the run folders: reports over several runs."""
    for folder, folders, names in os.walk(root):
        if set(MARKS) & set(names):
            folders[:] = [name for name in folders if name != "stages"]
            continue
        for path in half_written_reports(Path(folder)):
            yield _garbage("temporary", path, [path], "half-written", now, None)


def _garbage(kind: Kind, place: Path, files: Sequence[Path], reason: str, now: float, run: Path | None) -> Garbage:
    youngest = min(_days(path, now) for path in files)
    return Garbage(kind, place, tuple(files), sum(map(_bytes, files)), youngest, reason, run)


def _bytes(path: Path) -> int:
    """Size of a file; 0 where it has gone."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


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
        try:
            if others := sorted(each.name for each in path.iterdir()):
                return Kept(path, f"holds what no run wrote: {', '.join(others[:3])}{' ...' if len(others) > 3 else ''}", partly=True)
            path.rmdir()
        except FileNotFoundError:
            continue  # another process was first
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                return Kept(path, "was written to in the meantime", partly=True)
            raise storage_error(error, path) or error from error
    return None
