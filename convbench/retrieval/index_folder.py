"""The folder of an index: its lock, and a manifest that tells whether a file is what was written.

While a build is at work it notes what it has finished in a journal (``convbench.retrieval.index_journal``), which goes into the manifest
when it ends, however it does; after one that was killed the next builder does that. Whoever reads the folder reads both.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from convbench.errors import StorageError, storage_error
from convbench.io.atomic import write_text
from convbench.io.cache import remembered_sha256
from convbench.io.lock import acquire
from convbench.retrieval.index_journal import JOURNAL, Entry, Journal

MANIFEST = "manifest.jsonl"
LOCK = "build.lock"
_ELSEWHERE = "the index is missing, damaged or of another version: name a cache that can be written to (--cache, or CONVBENCH_CACHE)"
_log = logging.getLogger(__name__)


class Part(NamedTuple):
    """A file that an index needs.

    Attributes:
        name: Its name in the folder.
        rows: Vectors it must hold, or passages whose words it must hold; 0 where neither is meant.
        dim: Length of a vector.
    """

    name: str
    rows: int = 0
    dim: int = 0


class IndexFolder:
    """One index on disk. Every file appears whole or not at all; one that neither manifest nor journal lists does not count.

    Args:
        path: The folder; made with the first lock.
        cache: Where digests of unchanged files are remembered.
    """

    def __init__(self, path: Path, cache: Path) -> None:
        self.path = path
        self._cache = cache
        self._journal = Journal(path / JOURNAL)
        self._entries = self._read()

    def fault(self, part: Part) -> str | None:
        """Why a file cannot be used, or None."""
        entry, path = self._entries.get(part.name), self.path / part.name
        if entry is None:
            return f"{MANIFEST} does not list it"
        if not path.is_file():
            return "the file is missing"
        if (entry.rows, entry.dim) != (part.rows, part.dim):
            return f"it holds {entry.rows} vectors of length {entry.dim}, expected {part.rows} of length {part.dim}"
        if remembered_sha256(path, self._cache) != entry.sha256:
            return "its content is not what was written"
        return None

    def report(self, part: Part, fault: str) -> None:
        """Warns of a file that must be made again; one that was never made is nothing to warn of."""
        path = self.path / part.name
        if part.name in self._entries or path.exists():
            _log.warning("%s: %s: made again", path, fault)

    def record(self, part: Part) -> None:
        """Enters a file that was just written.

        Raises:
            StorageError: The folder cannot be written to.
        """
        digest = remembered_sha256(self.path / part.name, self._cache)
        entry = Entry(file=part.name, rows=part.rows, dim=part.dim, sha256=digest)
        self._journal.add(entry)
        self._entries[part.name] = entry

    def sha256(self, part: Part) -> str:
        """The digest of a recorded file."""
        return self._entries[part.name].sha256

    def leftovers(self) -> list[Path]:
        """What a killed build left half-written, or another process is writing."""
        return sorted(self.path.glob(".*.tmp"))

    def tidy(self) -> None:
        """Removes what a killed build left in a folder that lacks nothing, where it can be written to: no file depends on it."""
        if self.leftovers() or self._journal.exists():
            with suppress(StorageError), self.locked():
                pass

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other builders out, removes what killed ones left and reads what finished ones wrote. The lock goes with the process.

        Raises:
            StorageError: The folder cannot be created or written to.
        """
        with alone(self.path):
            for path in self.leftovers():
                path.unlink()
            self._entries = self._read()
            self._close_journal()
            try:
                yield
            except BaseException:
                with suppress(StorageError):  # it stays, then; what was raised first is what counts
                    self._close_journal()
                raise
            self._close_journal()

    def _close_journal(self) -> None:
        if self._journal.exists():
            lines = [json.dumps(self._entries[name].model_dump()) + "\n" for name in sorted(self._entries)]
            write_text(self.path / MANIFEST, "".join(lines))
            self._journal.remove()

    def _read(self) -> dict[str, Entry]:
        added = list(self._journal.entries())  # first: a builder that ends now has written the manifest before its journal goes
        return {entry.file: entry for entry in [*self._listed(), *added]}

    def _listed(self) -> list[Entry]:
        """The lines of the manifest."""
        try:
            lines = (self.path / MANIFEST).read_text(encoding="utf-8").splitlines()
            return [Entry.model_validate_json(line) for line in lines]
        except FileNotFoundError:
            return []
        except ValueError:
            _log.warning("%s: not readable: the index is made again", self.path / MANIFEST)
            return []


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other builders of an index out of its folder, and waits for one that is at work. The lock goes with the process.

    Raises:
        StorageError: The folder cannot be created or written to.
    """

    def busy(who: str) -> None:
        _log.warning("%s: %s is building this index: waiting for it", folder, who)

    try:
        lock = acquire(folder / LOCK, busy)
    except OSError as error:
        raise storage_error(error, folder) or error from error
    except StorageError as error:
        raise StorageError(f"{error}; {_ELSEWHERE}") from error
    with lock:
        yield
