"""Where runs are kept: the run folders below a folder or a URL, with their files, whatever holds them."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError, MissingFileError, UsageError
from convbench.store.remote import file_system, is_url, protocols_of, reaching

log = logging.getLogger(__name__)

MARKS = ("run.json", "results.json")
"""A folder with one of these is a run folder."""

_HALF_WRITTEN = re.compile(r"\..+\.\d+\.tmp")
"""A folder that an export was writing when it was killed: the runs in it stand elsewhere."""

SMALL = ("run.json", "results.json")
"""What a row or a card of a run is read from."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run folder in its place.

    Args:
        name: Its path below the place that was searched; the folder's own name where that was a run folder itself.
        place: Its whole path or URL.
        files: Path within the folder -> bytes. Links are not followed and not counted.
        system: The fsspec file system; None for a folder on this machine.
        path: Its path in that file system.
    """

    name: str
    place: str
    files: dict[str, int]
    system: Any = None
    path: str = ""

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(self.files.values())

    @property
    def identity(self) -> str:
        """What tells the run from others, however its place was named."""
        path = self.place if self.system is None else self.path
        here = self.system is None or "file" in protocols_of(self.system)
        return os.path.realpath(path) if here else str(self.system.unstrip_protocol(path))

    @contextmanager
    def local(self, names: Sequence[str] = SMALL) -> Iterator[Path]:
        """A folder on this machine with these files of the run, as far as it has them: its own, or copies for the time of the block.

        Raises:
            StorageError: A file cannot be fetched.
        """
        if self.system is None:
            yield Path(self.place)
            return
        with tempfile.TemporaryDirectory(prefix="convbench-") as temporary:
            folder = Path(temporary)
            for name in names:
                if name in self.files:
                    target = folder / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with reaching(self.place), self.system.open(f"{self.path}/{name}", "rb") as source, target.open("wb") as copy:
                        shutil.copyfileobj(source, copy)
            try:
                yield folder
            except ConvbenchError as error:  # name the place that the user knows
                raise _named(error, temporary, self.place) from None


def stored_runs(place: str) -> list[StoredRun]:
    """The run folders below a folder or URL, itself included, in order of their names; links are not followed.

    Raises:
        MissingFileError: There is none.
        ResourceError: fsspec, or the package of this kind of URL, is missing.
        StorageError: A URL cannot be read.
    """
    refuse_empty(place)
    if not is_url(place) and Path(place).is_file():
        raise MissingFileError(f"{place}: is a file; expected a run folder, or a folder with some below it (a bundle has to be unpacked)")
    found = list(_remote(place) if is_url(place) else _local(Path(place)))
    if not found:
        raise MissingFileError(f"{place}: no run here or below (no run.json); expected folders that `convbench run` made")
    return sorted(found, key=lambda run: run.name)


def refuse_empty(place: str) -> None:
    """Refuses an empty text, which would mean the working directory: a variable of a shell script that is not set.

    Raises:
        UsageError: It is empty.
    """
    if not place:
        raise UsageError("an empty text names no folder of runs: give a path or a URL ('.' for this folder)")


def distinct(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """Each run once, however often and by whatever name it was given."""
    found: dict[str, StoredRun] = {}
    for run in runs:
        found.setdefault(run.identity, run)
    return list(found.values())


def stored_run(place: str) -> StoredRun:
    """The run folder at a path or URL.

    Raises:
        MissingFileError: There is none.
    """
    for run in stored_runs(place):
        if run.place.rstrip("/") == place.rstrip("/") or Path(run.place) == Path(place):
            return run
    raise MissingFileError(f"{place}: no run here (no run.json), though there are some below; name one of them")


def _local(root: Path) -> Iterator[StoredRun]:
    for folder, folders, names in os.walk(root, onerror=_left_out):  # which does not follow links
        folders[:] = [name for name in folders if not _HALF_WRITTEN.fullmatch(name)]
        if not set(MARKS) & set(names):
            continue
        path = Path(folder)
        files = {name: size for name in names if (size := _size(path / name)) is not None}
        if "stages" in folders and not (path / "stages").is_symlink():
            folders.remove("stages")
            files |= {f"stages/{each.name}": size for each in _inside(path / "stages") if (size := _size(each)) is not None}
        name = path.relative_to(root).as_posix() if path != root else _own_name(root)
        yield StoredRun(name, str(path), dict(sorted(files.items())))


def _own_name(folder: Path) -> str:
    """The name of a folder, however it was named (``.``, ``..``)."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def _left_out(error: OSError) -> None:
    """A folder that cannot be read must not look like one without runs."""
    if isinstance(error, PermissionError):
        log.warning("%s: cannot be read (%s): what is in it is left out", error.filename, error.strerror)


def _inside(folder: Path) -> list[Path]:
    """What a folder holds; nothing where it may not be read."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _size(path: Path) -> int | None:
    """Bytes of a plain file; None for anything else, and for what has gone in the meantime."""
    try:
        return path.lstat().st_size if path.is_file() and not path.is_symlink() else None
    except OSError:  # gone in the meantime, or in a folder that may not be read
        return None


def _remote(url: str) -> Iterator[StoredRun]:
    system, root = file_system(url)
    with reaching(url):
        system.invalidate_cache()  # another machine may have added runs
        listed = system.find(root, detail=True) if system.exists(root) else {}
    sizes = {path[len(root) :].lstrip("/"): int(entry.get("size") or 0) for path, entry in listed.items() if path.startswith(root)}
    folders = sorted({path.rpartition("/")[0] for path in sizes if path.rpartition("/")[2] in MARKS})
    for folder in folders:
        prefix = f"{folder}/" if folder else ""
        inside = {path[len(prefix) :]: size for path, size in sizes.items() if path.startswith(prefix)}
        files = {path: size for path, size in inside.items() if "/" not in path.removeprefix("stages/")}
        place, path = f"{url.rstrip('/')}/{folder}".rstrip("/"), f"{root}/{folder}".rstrip("/")
        yield StoredRun(folder or root.rpartition("/")[2], place, dict(sorted(files.items())), system, path)


def _named(error: ConvbenchError, temporary: str, place: str) -> ConvbenchError:
    renamed = type(error).__new__(type(error))
    ConvbenchError.__init__(renamed, str(error).replace(temporary, place))
    return renamed
