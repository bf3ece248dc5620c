"""Putting a finished folder in another's place, so that there is a whole one at every moment, whenever the process is killed."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from convbench.errors import StorageError, storage_error
from convbench.io.atomic import sync

_HERE, _EXCHANGE = -100, 2
"""``AT_FDCWD`` and ``RENAME_EXCHANGE`` of Linux."""

_NOT_THERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Writes a folder of text files that takes the place of ``folder`` when all of them are on the disk.

    On Linux the two are exchanged in one step. Elsewhere there is a moment between two renamings in which the old one is at hand under
    its other name only; ``recover`` puts it back. One process does this at a time: whoever calls it sees to that.

    Args:
        folder: The folder; what is in it is lost.
        files: Path within it -> text.

    Raises:
        StorageError: The disk is full, the folder cannot be written to, or something that is no folder stands there.
    """
    recover(folder)
    new, old = _beside(folder, "new"), _beside(folder, "old")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise StorageError(f"{folder}: expected a folder to replace, found something else: move it away")
    try:
        _remove(new)
        for name, text in files.items():
            _write(new / name, text)
        _sync_folders(new)
        if not folder.exists():
            new.replace(folder)
        elif not _exchange(new, folder):
            folder.replace(old)
            new.replace(folder)
        sync(folder.parent)
    except OSError as error:
        raise storage_error(error, folder) or error from error
    finally:
        for leftover in (new, old):
            if folder.exists():
                _remove(leftover)


def recover(folder: Path) -> None:
    """After a process was killed: puts the old folder back where it has none in its place, and removes what was half written."""
    old = _beside(folder, "old")
    if old.is_dir() and not old.is_symlink() and not os.path.lexists(folder):
        old.replace(folder)
    for leftover in (old, _beside(folder, "new")):
        _remove(leftover)


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def _remove(leftover: Path) -> None:
    """Removes a folder; of a link, the link: nothing is written through it afterwards."""
    if leftover.is_symlink():
        leftover.unlink()
    shutil.rmtree(leftover, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def _sync_folders(folder: Path) -> None:
    for inner in (*folder.rglob("*"), folder):
        if inner.is_dir():
            sync(inner)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step; False where the system or the file system cannot."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_THERE:
        return False
    raise OSError(code, os.strerror(code), str(other))
