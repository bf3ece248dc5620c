"""Errors a user can act on. Each message is one line: what, where, found, expected, what to do.

The exit codes are part of the command line's contract (``docs/cli.md``).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ConvbenchError(Exception):
    """Base of every error that is reported without a traceback.

    A message may quote what was found, and files hold anything: what would break the line or reach the terminal is escaped.
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__("".join(character if character.isprintable() else ascii(character)[1:-1] for character in message))


class UsageError(ConvbenchError):
    """The command or configuration asks for something that does not exist or does not fit."""

    exit_code = 2


class DataError(ConvbenchError):
    """A file's content is not what its format says.

    Args:
        path: The file.
        message: What was found, what was expected.
        line: 1-based line number, for line formats.
        where: Key, index or id inside the file, for other formats.
    """

    exit_code = 3

    def __init__(self, path: str | Path, message: str, *, line: int | None = None, where: str | None = None) -> None:
        place = str(path)
        if line is not None:
            place += f":{line}"
        if where is not None:
            place += f" [{where}]"
        super().__init__(f"{place}: {message}")


class MissingFileError(ConvbenchError):
    """A file that is needed is not there (or several candidates are)."""

    exit_code = 3


class RunFileError(ConvbenchError):
    """A run breaks the rules of runs: an unusable score, no turns, none of this dataset; a malformed file is a ``DataError``."""

    exit_code = 4


class ResourceError(ConvbenchError):
    """A model, package or other resource cannot be had."""

    exit_code = 5


class StorageError(ConvbenchError):
    """Writing failed: disk full, read-only folder, no permission."""

    exit_code = 6


class InvariantError(ConvbenchError):
    """Numbers that cannot be right: a fault of a library, of a plug-in metric, or of convbench."""

    exit_code = 7


_READING_ERRNOS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.EISDIR: "is a folder, expected a file",
    errno.EACCES: "cannot be read: permission denied",
}

_STORAGE_ERRNOS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.EACCES: "permission denied: choose a place you may write to",
    errno.EPERM: "operation not permitted: choose a place you may write to",
    errno.EEXIST: "a file stands where a folder is needed: choose another place",
    errno.ENOTDIR: "a file stands where a folder is needed: choose another place",
}


def reading_error(error: OSError, path: str | Path) -> MissingFileError | None:
    """The ``MissingFileError`` for an ``OSError`` met in opening a file to read it, else None."""
    found = _READING_ERRNOS.get(error.errno or 0)
    return MissingFileError(f"{path}: {found}") if found else None


def storage_error(error: OSError, path: str | Path | None = None) -> StorageError | None:
    """The ``StorageError`` for an ``OSError`` that is about space, permission or place, else None."""
    advice = _STORAGE_ERRNOS.get(error.errno or 0)
    if advice is None and error.errno is None and "written" in str(error):
        advice = _STORAGE_ERRNOS[errno.ENOSPC]  # numpy counts the bytes that were not written, without an errno
    if advice is None:
        return None
    name = path or error.filename or "output"
    return StorageError(f"{name}: cannot write: {advice}; finished work is kept, run the same command again to go on")


@contextmanager
def storage_errors(path: str | Path | None = None) -> Iterator[None]:
    """Reports what is about space, permission or place as a ``StorageError`` that names ``path``; any other error passes.

    Raises:
        StorageError: The block met a full disk and the like.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) or error from error
