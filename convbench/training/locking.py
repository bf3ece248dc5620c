"""A folder of training for one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from convbench.errors import UsageError
from convbench.io.lock import Lock, acquire


def locked(path: Path, busy: Callable[[str], UsageError], what: str) -> Lock:
    """Locks a folder; closing the lock gives it up.

    Args:
        path: The lock file in it.
        busy: The error to raise where another process holds the lock, made of words for that process.
        what: What the folder is for, in a message.

    Raises:
        UsageError: There is no place for the folder, or what ``busy`` gives.
        StorageError: It cannot be written to.
    """

    def refuse(who: str) -> None:
        raise busy(who)

    try:
        return acquire(path, refuse)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{error.filename}: is a file, or lies in one; expected a folder for the {what}") from None
