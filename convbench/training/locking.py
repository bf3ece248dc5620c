"""A folder of training for one process at a time."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from convbench.errors import UsageError
from convbench.io.lock import acquire


def locked(path: Path, busy: UsageError, what: str) -> IO[str]:
    """Locks a folder; closing the handle gives it up.

    Args:
        path: The lock file in it.
        busy: Raised where another process holds the lock.
        what: What the folder is for, in a message.

    Raises:
        UsageError: There is no place for the folder, or ``busy``.
        StorageError: It cannot be written to.
    """

    def refuse() -> None:
        raise busy

    try:
        return acquire(path, refuse)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{error.filename}: is a file, or lies in one; expected a folder for the {what}") from None
