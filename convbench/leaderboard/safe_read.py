"""Looking through the folder of a submission without trusting it: which files are there, and how much is in them. Nothing is parsed here.

Whatever is wrong comes back as findings or as a ``DataError`` about one file, so that one submission never stops the others. Links are not
followed, nothing is unpickled or run, and of a packed file no more than a block is held.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from convbench.errors import DataError
from convbench.io.bounds import FREE_EXPANSION, MAX_EXPANSION, MIB
from convbench.leaderboard import card, verified
from convbench.leaderboard.names import printable
from convbench.leaderboard.places import RUN, SUBMISSIONS, submission_folder
from convbench.leaderboard.verified import Finding

MAX_PACKED = 64 * MIB
"""Bytes of a run as it is sent in: QReCC's 16,451 turns with 100 passages each need about 20 MiB."""
MAX_UNPACKED = 512 * MIB
"""Bytes of it unpacked."""
MAX_LINE = 4 * MIB
"""Bytes of one of its lines; one of 1,000 passages has about 50 KiB."""
MAX_LINES = 100_000
"""Lines of it, blank ones counted; the largest set has 80,000 turns."""

FILES = (card.FILE, RUN, verified.FILE)
"""The files that a submission is made of."""

_ID = re.compile(card.ID)
_MOST_FOUND = 10
_BLOCK = 1 << 18
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Looked:
    """What looking through a folder gave.

    Attributes:
        folder: The folder.
        findings: Everything that is wrong with it; where there is any, its files are not to be opened.
    """

    folder: Path
    findings: tuple[Finding, ...]


def refused(check: str, message: str) -> Finding:
    """A finding that keeps a submission out."""
    return Finding(check=check, severity="refused", message=message)


def look_through(root: Path, track: str, submission: str) -> Looked:
    """Looks through the folder of a submission. No file is opened.

    Args:
        root: The folder of leaderboards.
        track: A track that was found there.
        submission: The submission's id, which may come from anywhere.
    """
    if not _ID.fullmatch(submission):
        rule = "expected up to 64 of a-z, 0-9, '.' and '-', a letter or digit first"
        return Looked(
            root / track / SUBMISSIONS, (refused("submission-id", f"{printable(submission)!r} is no id of a submission; {rule}"),)
        )
    folder = submission_folder(root, track, submission)
    for path in (folder.parent.parent, folder.parent, folder):
        if found := _not_a_folder(path, root):
            return Looked(folder, (found,))
    return Looked(folder, tuple(look_at_files(folder)))


def _not_a_folder(path: Path, root: Path) -> Finding | None:
    shown = printable(path.relative_to(root).as_posix())
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return refused("files", f"{shown}: cannot be read ({error.strerror})")
    if stat.S_ISLNK(mode):
        return refused("link", f"{shown} is a symbolic link, which is not followed: put a folder in its place")
    return None if stat.S_ISDIR(mode) else refused("files", f"{shown} is no folder")


def look_at_files(folder: Path) -> Iterator[Finding]:
    """What is wrong with the entries of a folder, and which are missing. No file is opened."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(islice(entries, _MOST_FOUND + 1), key=lambda entry: entry.name)
        for entry in found[:_MOST_FOUND]:
            if finding := _unusable(entry):
                yield finding
    except OSError as error:
        yield refused("files", f"the folder cannot be read ({error.strerror})")
        return
    if len(found) > _MOST_FOUND:
        yield refused("files", f"more than {_MOST_FOUND} files, where {', '.join(FILES)} are expected")
    names = {entry.name for entry in found}
    yield from (refused("files", f"{name} is missing") for name in (card.FILE, RUN) if name not in names)


def _unusable(entry: os.DirEntry[str]) -> Finding | None:
    """What is wrong with an entry: a link, a device, a second name of another file, too large, or no part of a submission."""
    status, name = entry.stat(follow_symlinks=False), printable(entry.name)
    if stat.S_ISLNK(status.st_mode):
        return refused("link", f"{name} is a symbolic link, which is not followed: put the file itself in its place")
    if entry.name not in FILES:
        return refused("files", f"{name} is no part of a submission ({', '.join(FILES)}); it is not opened: remove it")
    if not stat.S_ISREG(status.st_mode):
        return refused("files", f"{name} is a {_kind(status.st_mode)}, expected a plain file")
    if status.st_nlink > 1:
        return refused("link", f"{name} has {status.st_nlink} hard links, so it is also another file: put a copy in its place")
    return None


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    return kinds.get(stat.S_IFMT(mode), "special file")


def check_bounds(path: Path) -> None:
    """Unpacks a gzip file once, keeping nothing, so that whoever reads it afterwards meets no more than is allowed.

    Raises:
        DataError: No whole gzip stream of a single member, or larger than the bounds above; the line where that shows is named.
    """
    size = path.stat().st_size
    if size > MAX_PACKED:
        raise DataError(path, f"{size:,} bytes; the most that is read of a run is {MAX_PACKED // MIB} MiB, packed")
    most = min(MAX_UNPACKED, max(FREE_EXPANSION, MAX_EXPANSION * size))
    given = lines = length = 0  # length: of the line whose end has not come yet
    try:
        for block in unpacked(path):
            given += len(block)
            end = block.rfind(b"\n") + 1
            length += block.find(b"\n") if end else len(block)
            if length > MAX_LINE:
                raise DataError(path, f"longer than {MAX_LINE // MIB} MiB, the most that is read as one line of a run", line=lines + 1)
            if end:
                length = len(block) - end
            lines += block.count(b"\n")
            if lines > MAX_LINES:
                raise DataError(path, f"more than {MAX_LINES:,} lines, the most that a run may have", line=MAX_LINES + 1)
            if given > most:
                raise DataError(path, f"gives more than {most // MIB} MiB when unpacked, the most that is read of it", line=lines + 1)
    except zlib.error as error:
        raise DataError(path, f"no whole gzip file ({printable(str(error))}); pack it with gzip", line=lines + 1) from None


def unpacked(path: Path) -> Iterator[bytes]:
    """The content of a gzip file in blocks.

    Raises:
        zlib.error: It is cut, damaged, no gzip file, or has something behind its stream.
    """
    stream = zlib.decompressobj(_GZIP)
    with path.open("rb") as file:
        while not stream.eof:
            packed = stream.unconsumed_tail or file.read(_BLOCK)
            block = stream.decompress(packed, _BLOCK)
            if not (packed or block):
                raise zlib.error("it ends early")
            yield block
        if stream.unused_data or file.read(1):
            raise zlib.error("something stands behind its end")
