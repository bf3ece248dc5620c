"""From the manifest to files in place: what is there is kept, what is missing is fetched and unpacked, by one process at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convbench.datasets.download.checks import difference, digests_of, doubt
from convbench.datasets.download.fetch import fetch
from convbench.datasets.download.hub import cached_file, from_hub, hub_cache
from convbench.datasets.download.manifest import DownloadFile
from convbench.datasets.download.places import Places
from convbench.datasets.download.record import FileRecord, read_record, record_of, with_content, written_record
from convbench.datasets.download.room import check_room
from convbench.datasets.download.transfer import NO_ROOM
from convbench.datasets.download.unpack import unpack
from convbench.datasets.download.waiting import Patience
from convbench.errors import DataError, ResourceError
from convbench.io.atomic import write_text
from convbench.io.lock import acquire

_log = logging.getLogger(__name__)

How = Literal["there before", "copy of yours", "fetched"]


@dataclass(frozen=True, slots=True)
class Obtained:
    """A file that is in place.

    Attributes:
        file: What the manifest says of it.
        path: Where it, or for an archive its content, lies.
        how: How it came there.
        record: What it is.
    """

    file: DownloadFile
    path: Path
    how: How
    record: FileRecord

    @property
    def checked(self) -> str:
        """What it was held to."""
        return ", ".join(self.file.digests) or f"nothing: {self.file.unchecked}"


def obtain(files: Sequence[DownloadFile], places: Places, *, offline: bool, patience: Patience | None = None) -> list[Obtained]:
    """Brings files into their places. A second call finds everything done; one after a failure goes on with what is missing.

    Args:
        files: What is wanted.
        places: Where it goes.
        offline: Refuse the network; what is there, or in the hub's cache, is still used.
        patience: How faults of the network are borne.

    Raises:
        ResourceError: A file cannot be had; all that cannot are named, each with the place for a copy. The others are in place.
        DataError: What lies in a file's place is another file, or an archive is not as it should be.
        StorageError: There is no room.
    """
    with closing(acquire(places.lock, lambda who: _log.info("%s: %s fetches these files: waiting for it", places.root, who))):
        places.ready.unlink(missing_ok=True)
        found = {file.name: _there(file, places) for file in files}
        missing = [file for file in files if found[file.name] is None]
        if not offline:
            check_room(_wanted(missing, places), NO_ROOM)
        failures: list[str] = []
        for file in missing:
            try:
                found[file.name] = _obtained(file, places, offline=offline, patience=patience or Patience())
            except ResourceError as error:
                failures.append(str(error))
        if failures:
            raise ResourceError(f"{len(failures)} of {len(files)} files could not be had: {'; '.join(failures)}")
        write_text(places.ready, "{}\n")
    return [each for each in found.values() if each is not None]


def _there(file: DownloadFile, places: Places) -> Obtained | None:
    """A file that was obtained before, or that the user put into its place."""
    if record := read_record(places, file):
        return _in_place(file, places, "there before", record)
    path = places.file(file.name)
    if not path.is_file():
        return None
    if file.unpack is not None and (record := read_record(places, _as_archive(file))):
        return _unpacked(file, places, "fetched", record)  # fetched by a call that did not come to unpack it
    _log.info("%s: checking what lies there", path)
    digests = digests_of(path, file)
    if wrong := difference(file, path.stat().st_size, digests):
        raise DataError(path, f"{wrong}: this is not the file of {file.source}; remove it, or put the right one there")
    _refuse_changed(file, path, digests, places)
    _tell(doubt(file, digests))
    return _finished(file, places, "copy of yours", record_of(file, path, digests, "a copy that lay there"))


def _refuse_changed(file: DownloadFile, path: Path, digests: Mapping[str, str], places: Places) -> None:
    """Where nobody published a digest, the one that was computed when the file came is what it is held to."""
    if file.digests or file.unpack is not None:
        return
    before = written_record(places, file)
    if before is not None and before.digests.get("sha256") not in (None, digests["sha256"]):
        was = f"it was {before.digests['sha256']} when it came ({before.source})"
        advice = f"remove it to have it fetched again, or remove {places.record(file.name)} to keep it as it is"
        raise DataError(path, f"its sha256 is {digests['sha256']}, and {was}: {advice}")


def _obtained(file: DownloadFile, places: Places, *, offline: bool, patience: Patience) -> Obtained:
    if file.hub is not None:
        record, note = from_hub(file, file.hub, places, offline=offline)
        _tell(note)
        return _finished(file, places, "fetched", record)
    if offline:
        raise ResourceError(
            f"{file.name}: not there, and --offline forbids fetching it from {file.source}; put a copy here: {places.file(file.name)}"
        )
    return _finished(file, places, "fetched", fetch(file, places, patience))


def _finished(file: DownloadFile, places: Places, how: How, record: FileRecord) -> Obtained:
    if how == "fetched":
        record.write(places)  # of an archive too: a call that is killed while unpacking leaves it to the next one
    if file.unpack is not None:
        return _unpacked(file, places, how, record)
    record.write(places)
    return _in_place(file, places, how, record)


def _unpacked(file: DownloadFile, places: Places, how: How, record: FileRecord) -> Obtained:
    """Unpacks an archive. One that was fetched goes then: its content is there, and both may not fit on the disk for long."""
    assert file.unpack is not None  # the caller looked
    into = places.file(file.unpack.into)
    _log.info("%s: unpacking", file.name)
    unpack(places.file(file.name), file.unpack, into)
    done = with_content(record, into)
    done.write(places)
    if how == "fetched":
        places.file(file.name).unlink(missing_ok=True)
    return _in_place(file, places, how, done)


def _in_place(file: DownloadFile, places: Places, how: How, record: FileRecord) -> Obtained:
    return Obtained(file, places.file(file.unpack.into if file.unpack else file.name), how, record)


def _as_archive(file: DownloadFile) -> DownloadFile:
    return file.model_copy(update={"unpack": None})


def _wanted(missing: Sequence[DownloadFile], places: Places) -> Iterator[tuple[Path, int]]:
    """What will be written, as far as sizes are known."""
    for file in missing:
        if file.hub is not None:
            yield hub_cache(), 0 if cached_file(file.hub) else file.likely_size
            continue
        part = places.part(file.name)
        there = part.stat().st_size if part.exists() else 0
        yield places.root, max(0, file.likely_size - there) + ((file.unpack.about or 0) if file.unpack else 0)


def _tell(note: str | None) -> None:
    if note:
        _log.warning("%s", note)
