"""A lock on a folder that goes with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from convbench.errors import storage_error

_PATIENCE = 0.2
"""Seconds to wait for the name of a process that has only just taken the lock."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Lock:
    """A lock that is held until it is closed.

    While it is held, its file says by whom: the process, and a number that Linux draws whenever it starts, which tells machines apart and
    names none. The kernel holds the lock, and the file only tells of it: what a killed process left in it keeps nobody out.

    Args:
        handle: The open file, locked.
    """

    def __init__(self, handle: IO[str]) -> None:
        self._handle = handle
        self._write(f"{os.getpid()} {_machine()}".rstrip() + "\n")

    def close(self) -> None:
        """Gives the lock up."""
        if not self._handle.closed:
            self._write("")
            self._handle.close()

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(self._handle.fileno(), 0)
            os.write(self._handle.fileno(), text.encode())

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def acquire(path: Path, busy: Callable[[str], None]) -> Lock:
    """Locks a file, its folder made first where it is missing; the lock is given up when it is closed.

    Args:
        path: The lock file.
        busy: Called where another process holds the lock, with words for that process, its number among them: raises to refuse, returns to
            wait.

    Raises:
        FileExistsError: A part of the path is a file; ``NotADirectoryError`` likewise.
        StorageError: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+")  # nothing of it goes before the lock is held: it says who has it
    except (FileExistsError, NotADirectoryError):
        raise
    except OSError as error:
        raise storage_error(error, path.parent) or error from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            busy(_holder(path))
            fcntl.flock(handle, fcntl.LOCK_EX)
        except BaseException:
            handle.close()
            raise
    return Lock(handle)


def _holder(path: Path) -> str:
    """Words for the process that holds a lock."""
    end = time.monotonic() + _PATIENCE
    while not (words := path.read_text(encoding="utf-8", errors="replace").split()) and time.monotonic() < end:
        time.sleep(0.01)
    if not words or not words[0].isdecimal():
        return "another process"
    elsewhere = " on another machine" if words[1:] != _machine().split() else ""
    return f"another process (pid {words[0]}{elsewhere})"


def _machine() -> str:
    """What tells this machine from others, as long as it runs; empty where the system has no such thing."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
