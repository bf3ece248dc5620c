"""The bytes of an unfinished download, and what must be known to go on with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from convbench.datasets.download.checks import RunningDigests
from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.shown import shown_url
from convbench.errors import storage_error
from convbench.io.atomic import write_text
from convbench.io.digests import value_sha256

Moved = Callable[[int], None]
"""Told how many bytes a download has."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a server said of a file when its download began.

    Attributes:
        address: Digest of the address: what may be secret in one is not written down.
        source: The address as it is shown.
        etag: The strong entity tag.
        modified: ``Last-Modified``.
        total: The size that was announced.
    """

    address: str
    source: str
    etag: str | None
    modified: str | None
    total: int | None

    @property
    def validator(self) -> str | None:
        """What ``If-Range`` may hold: bytes are only given from the middle while the file is still the same."""
        return self.etag or self.modified


def address_of(url: str) -> str:
    """The digest by which an address is known again."""
    return value_sha256(url)[:32]


class PartFile:
    """An unfinished file, with its digests so far.

    The bytes that are there belong to one file of one server, as the note beside them says. The note is removed before the bytes are, and
    written before the first of new ones, so that a process that is killed at any moment leaves no bytes under a note of others.

    Args:
        path: Where it lies.
        file: What it becomes.
        moved: Told its size when it changes.
    """

    def __init__(self, path: Path, file: DownloadFile, moved: Moved) -> None:
        self._path = path
        self._note = path.with_name(path.name + ".json")
        self._file = file
        self._moved = moved
        self._running: RunningDigests | None = None

    @property
    def path(self) -> Path:
        """Where the bytes are."""
        return self._path

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._path.stat().st_size if self._path.exists() else 0

    @property
    def begun(self) -> Begun | None:
        """What the server said; None where nothing is known of the bytes."""
        try:
            values: dict[str, Any] = json.loads(self._note.read_text(encoding="utf-8"))
            return Begun(**values)
        except (OSError, ValueError, TypeError):
            return None

    def resumable(self, url: str) -> bool:
        """Whether a download from an address may go on after these bytes.

        With a digest to check the whole against, the bytes of one mirror may be followed by those of another. Without one, only the same
        address will do, and only where the server can tell that its file is still the same.
        """
        begun = self.begun
        if not self.size or begun is None:
            return False
        return bool(self._file.digests) or (begun.address == address_of(url) and begun.validator is not None)

    def discard(self) -> None:
        """Throws the bytes away."""
        self._running = None
        with _storage_errors(self._path):
            self._note.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        self._moved(0)

    def begin(self, url: str, etag: str | None, modified: str | None, total: int | None) -> None:
        """Begins anew, with what a server says of the file."""
        self.discard()
        strong = etag if etag and not etag.startswith("W/") else None
        write_text(self._note, json.dumps(asdict(Begun(address_of(url), shown_url(url), strong, modified, total))) + "\n")

    def append(self) -> IO[bytes]:
        """Opens the part to write after its bytes."""
        with _storage_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return self._path.open("ab", buffering=1 << 18)

    def take(self, block: bytes, out: IO[bytes], size: int) -> None:
        """Writes a block and counts it in.

        Args:
            block: The bytes.
            out: As ``append`` opened it.
            size: The size before.
        """
        if self._running is None:
            self._catch_up()
        assert self._running is not None  # as _catch_up leaves it
        with _storage_errors(self._path):
            out.write(block)
        self._running.update(block)
        self._moved(size + len(block))

    def digests(self) -> dict[str, str]:
        """The digests of the bytes; those of an earlier process are read again."""
        if self._running is None:
            self._catch_up()
        assert self._running is not None  # as _catch_up leaves it
        return self._running.values()

    def forget_digests(self) -> None:
        """After a write that failed, what was counted in and what is there may differ: the bytes are read again."""
        self._running = None

    def finish(self, place: Path) -> None:
        """Puts the whole file in its place, flushed to the disk first."""
        with _storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("rb") as handle:
                os.fsync(handle.fileno())
            self._path.replace(place)
            self._note.unlink(missing_ok=True)

    def _catch_up(self) -> None:
        self._running = RunningDigests(self._file)
        if self._path.exists():
            self._running.update_from(self._path)


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    """Reports a full disk and the like as a ``StorageError`` that names the file."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) or error from error
