"""Unpacking an archive within bounds, into a folder that appears whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from convbench.datasets.download.manifest import Unpack
from convbench.datasets.download.members import Member, open_members
from convbench.datasets.download.room import check_room
from convbench.datasets.download.shown import shown_size
from convbench.datasets.download.transfer import NO_ROOM
from convbench.errors import DataError, storage_error
from convbench.io.atomic import atomic_folder, atomic_path
from convbench.io.bounds import FREE_EXPANSION, MAX_EXPANSION, read_blocks

_BLOCK = 1 << 20


def unpack(archive: Path, rule: Unpack, into: Path) -> None:
    """Unpacks an archive; a folder or file of an earlier try that was cut is replaced.

    Args:
        archive: The archive.
        rule: Format, wanted members and bounds.
        into: Folder that takes the members, or for ``gz`` the file.

    Raises:
        DataError: The archive is broken, goes beyond its bounds, or has a member that leads outside, is a link, or comes twice.
        StorageError: There is no room.
    """
    _clean(into)
    if rule.format == "gz":
        check_room([(into.parent, archive.stat().st_size)], NO_ROOM)
        bound = _Bound(archive, rule)
        with atomic_path(into) as temporary, temporary.open("wb") as out:
            for block in read_blocks(archive):
                out.write(bound.count(block))
        return
    if rule.format == "zip":  # its directory states the sizes; a tar has to be read for them
        with open_members(archive, rule) as members:
            check_room([(into.parent, sum(member.size for member in members))], NO_ROOM)
    bound = _Bound(archive, rule)
    with atomic_folder(into) as folder, open_members(archive, rule) as members:
        for member in members:
            _write(member, folder / member.path, bound)
        if not bound.given:
            raise DataError(archive, f"gives nothing of {', '.join(rule.members)}: is it another archive?")


class _Bound:
    """Counts what an archive gives, and stops it at its bound."""

    def __init__(self, archive: Path, rule: Unpack) -> None:
        self._archive = archive
        self._most = rule.most_bytes or max(FREE_EXPANSION, MAX_EXPANSION * archive.stat().st_size)
        self.given = 0

    def count(self, block: bytes) -> bytes:
        """Lets a block pass.

        Raises:
            DataError: It is more than the archive may give.
        """
        self.given += len(block)
        if self.given > self._most:
            raise DataError(
                self._archive, f"gives more than {shown_size(self._most)}: refused; if it is what it should be, unpack it yourself"
            )
        return block


def _write(member: Member, place: Path, bound: _Bound) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as content, place.open("wb") as out:
        while block := content.read(_BLOCK):
            out.write(bound.count(block))


def _clean(into: Path) -> None:
    """Removes what an earlier try left: temporary folders, and a result that does not fit its record (or it would not be made anew)."""
    try:
        for left in into.parent.glob(f".{into.name}.*.tmp"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        if into.is_dir():
            shutil.rmtree(into)
        else:
            into.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, into) or error from error
