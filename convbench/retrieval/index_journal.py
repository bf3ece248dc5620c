"""What a build has finished so far, a line for each file, so that noting one costs the same whether ten or ten thousand are done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from convbench.config import Config
from convbench.errors import storage_errors
from convbench.io.sealed import sealed, unsealed

JOURNAL = "journal.jsonl"


class Entry(Config):
    """What is known of a file: one line of a manifest, and of the journal before."""

    file: str
    rows: int
    dim: int
    sha256: str


class Journal:
    """Lines that are only ever added, by the process that holds the folder's lock. Each has a digest of its own.

    Args:
        path: Its file, in the folder of an index.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Whether a build is at work, or was killed."""
        return self._path.exists()

    def add(self, entry: Entry) -> None:
        """Adds a line, which is on disk afterwards.

        Raises:
            StorageError: It cannot be written.
        """
        line = json.dumps(sealed(entry.model_dump()))
        with storage_errors(self._path), self._path.open("a", encoding="utf-8") as handle:
            handle.write(f"\n{line}\n")  # a line that was cut before this one does not take it along
            handle.flush()
            os.fsync(handle.fileno())

    def entries(self) -> Iterator[Entry]:
        """What was added, in order. A line that is cut or was changed is passed over: its file is made again."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield Entry.model_validate(unsealed(json.loads(line)))
            except (ValueError, KeyError, RecursionError):
                continue

    def remove(self) -> None:
        """Removes it, once the manifest holds all of it.

        Raises:
            StorageError: The folder cannot be written to.
        """
        with storage_errors(self._path):
            self._path.unlink(missing_ok=True)
