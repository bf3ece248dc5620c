"""What a finished file is, written down beside it, so that a second call need not read it again."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.places import Places
from convbench.errors import StorageError
from convbench.io.atomic import write_text
from convbench.io.digests import file_sha256, value_sha256
from convbench.io.file_state import file_state
from convbench.io.sealed import SEAL, BrokenSealError, sealed, unsealed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A finished file.

    Attributes:
        name: Its name in the manifest.
        size: Its bytes.
        lies: Its ``file_state``; a file with another one is read again. Nothing in records of older versions.
        digests: Kind -> digest of its content.
        source: Where it came from.
        files: For an unpacked archive, how many files it gave.
        bytes: For an unpacked archive, how many bytes they have.
        content: For an unpacked archive, the digest of the files' names and content; None in records of older versions.
        state: For an unpacked archive, the digest of the files' names and ``file_state``; with another one they are read again.
    """

    name: str
    size: int
    lies: Sequence[int] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    files: int | None = None
    bytes: int | None = None
    content: str | None = None
    state: str | None = None

    def write(self, places: Places) -> None:
        """Writes the record."""
        write_text(places.record(self.name), json.dumps(sealed(asdict(self)), sort_keys=True) + "\n")

    def meets(self, file: DownloadFile) -> bool:
        """Whether the manifest asks for just this (it may have learnt of other digests since)."""
        return file.size in (None, self.size) and all(self.digests.get(kind) == value for kind, value in file.digests.items())


def record_of(file: DownloadFile, path: Path, digests: Mapping[str, str], source: str) -> FileRecord:
    """The record of a file as it lies there."""
    state = file_state(path)
    return FileRecord(file.name, state[0], state, dict(digests), source)


def read_record(places: Places, file: DownloadFile) -> FileRecord | None:
    """The record of a file, where it still fits what lies there and what the manifest asks for; else None."""
    record = written_record(places, file)
    if record is None or not record.meets(file):
        return None
    try:
        if file.unpack is not None:
            return _whole(places.file(file.unpack.into), record, places)
        return record if file_state(places.file(file.name)) == record.lies else None
    except OSError:
        return None  # the file is gone


def written_record(places: Places, file: DownloadFile) -> FileRecord | None:
    """The record of a file, whatever lies there now; None where there is none, or one that is damaged or of another version."""
    path = places.record(file.name)
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = unsealed(values) if SEAL in values else values
        return FileRecord(**{name: value for name, value in known.items() if name != "mtime_ns"})  # as older versions had it
    except BrokenSealError:
        _log.warning("%s: damaged: the file is looked at anew", path)
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    return None


def with_content(record: FileRecord, place: Path) -> FileRecord:
    """The record of an archive, with what it gave."""
    found = _files(place)
    size = sum(path.stat().st_size for path in found.values())
    return replace(record, files=len(found), bytes=size, content=_content(found), state=_state(found))


def _whole(place: Path, record: FileRecord, places: Places) -> FileRecord | None:
    """The record of what an archive gave, where it is still what it gave; files that were copied or touched are read again, once."""
    found = _files(place)
    if (len(found), sum(path.stat().st_size for path in found.values())) != (record.files, record.bytes):
        return None
    state = _state(found)
    if record.content is None or state == record.state:
        return record
    if _content(found) == record.content:
        record = replace(record, state=state)
        with suppress(StorageError):  # the next call reads them again
            record.write(places)
        return record
    _log.warning("%s: the content is not what was unpacked: made again", place)
    return None


def _files(place: Path) -> dict[str, Path]:
    """The files at or below a place, by name."""
    if place.is_file():
        return {"": place}
    return {path.relative_to(place).as_posix(): path for path in sorted(place.rglob("*")) if path.is_file()}


def _content(files: Mapping[str, Path]) -> str:
    return value_sha256([[name, file_sha256(path)] for name, path in files.items()])


def _state(files: Mapping[str, Path]) -> str:
    return value_sha256([[name, *file_state(path)] for name, path in files.items()])
