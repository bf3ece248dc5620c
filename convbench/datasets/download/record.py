"""What a finished file is, written down beside it, so that a second call need not read it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.places import Places
from convbench.io.atomic import write_text


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A finished file.

    Attributes:
        name: Its name in the manifest.
        size: Its bytes.
        mtime_ns: Its modification time; a file with another one is read again.
        digests: Kind -> digest of its content.
        source: Where it came from.
        files: For an unpacked archive, how many files it gave.
        bytes: For an unpacked archive, how many bytes they have.
    """

    name: str
    size: int
    mtime_ns: int
    digests: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    files: int | None = None
    bytes: int | None = None

    def write(self, places: Places) -> None:
        """Writes the record."""
        write_text(places.record(self.name), json.dumps(asdict(self), sort_keys=True) + "\n")

    def meets(self, file: DownloadFile) -> bool:
        """Whether the manifest asks for just this (it may have learnt of other digests since)."""
        return file.size in (None, self.size) and all(self.digests.get(kind) == value for kind, value in file.digests.items())


def record_of(file: DownloadFile, path: Path, digests: Mapping[str, str], source: str) -> FileRecord:
    """The record of a file as it lies there."""
    stat = path.stat()
    return FileRecord(file.name, stat.st_size, stat.st_mtime_ns, dict(digests), source)


def read_record(places: Places, file: DownloadFile) -> FileRecord | None:
    """The record of a file, where it still fits what lies there and what the manifest asks for; else None."""
    try:
        values: dict[str, Any] = json.loads(places.record(file.name).read_text(encoding="utf-8"))
        record = FileRecord(**values)
        if not record.meets(file):
            return None
        if file.unpack is not None:
            return record if content_of(places.file(file.unpack.into)) == (record.files, record.bytes) else None
        stat = places.file(file.name).stat()
        return record if (stat.st_size, stat.st_mtime_ns) == (record.size, record.mtime_ns) else None
    except (OSError, ValueError, TypeError):
        return None  # none, of another version, or the file is gone: looked at anew


def content_of(place: Path) -> tuple[int, int]:
    """How many files there are at or below a place, and how many bytes they have."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)
