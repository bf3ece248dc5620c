"""Whether a process works in a run folder, and keeping others out of it, without writing into the lock file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"


@contextmanager
def holding(folder: Path, *, make: bool = False) -> Iterator[bool]:
    """Holds the lock of a run folder for the time of the block, where no process has it.

    Args:
        folder: The run folder.
        make: Whether to make a lock file that is missing; without one, no process can be at work.

    Yields:
        Whether the folder is free of other processes. A lock that is a link, or may not be opened, counts as held.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if make else 0), 0o644)
    except FileNotFoundError:
        yield True
        return
    except OSError:
        yield False
        return
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
            return
        yield False
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether a process works in a run folder now."""
    with holding(folder) as free:
        return not free
