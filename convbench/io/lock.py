"""A lock on a folder that goes with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import IO

from convbench.errors import storage_error


def acquire(path: Path, busy: Callable[[], None]) -> IO[str]:
    """Locks a file, its folder made first where it is missing; the lock is given up when the handle is closed.

    Args:
        path: The lock file.
        busy: Called where another process holds the lock: raises to refuse, returns to wait.

    Raises:
        FileExistsError: A part of the path is a file; ``NotADirectoryError`` likewise.
        StorageError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except (FileExistsError, NotADirectoryError):
        raise
    except OSError as error:
        raise storage_error(error, path.parent) or error from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            busy()
        except BaseException:
            handle.close()
            raise
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle
