"""A submission in an archive (.tar.gz, .tgz, .tar, .zip): its two files are read out, no more, and nothing is extracted by name."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from convbench.config import MAX_YAML, load_config
from convbench.errors import DataError, UsageError, reading_error
from convbench.io.atomic import atomic_folder
from convbench.io.bounds import MIB
from convbench.leaderboard.card import FILE, Card
from convbench.leaderboard.names import printable
from convbench.leaderboard.places import RUN
from convbench.leaderboard.safe_read import MAX_PACKED, unpacked
from convbench.leaderboard.submission import read_folder
from convbench.leaderboard.track import Track
from convbench.leaderboard.writer import new_folder_for, refuse_beside_others

MAX_ARCHIVE = MAX_PACKED + MIB
"""Bytes of an archive, packed and unpacked: a submission's run is packed already."""

_SIZES = {FILE: MAX_YAML, RUN: MAX_PACKED}
_MOST_MEMBERS = 10
_LEFT_BY_MACOS = "__MACOSX"
"""The folder where macOS puts what it notes of each file that it packs; in a tar archive that stands beside the file, as ``._name``."""


def unpack(archive: Path, track: Track, root: Path, *, submission: str, turns: Sequence[str] | None = None) -> Path:
    """Puts the submission in an archive into its place, after it was read and nothing was found that refuses it.

    Args:
        archive: The archive; ``manifest.yaml`` and ``run.jsonl.gz`` stand at its top, or in one folder.
        track: The track.
        root: The folder of leaderboards.
        submission: The id that the submission is expected to have.
        turns: The ids of the track's turns, where they are at hand.

    Returns:
        The submission's folder.

    Raises:
        MissingFileError: There is no such file.
        DataError: No archive, a damaged or too large one, or a member that does not belong there.
        UsageError: The submission is refused, or its id or name is taken.
    """
    members = _members(archive)
    folder = new_folder_for(submission, track, root)
    with atomic_folder(folder) as temporary:
        for name, content in members.items():
            (temporary / name).write_bytes(content)
        found = read_folder(temporary, track, submission, turns=turns)
        if found.refused:
            wrong = [finding.message for finding in found.findings if finding.severity == "refused"]
            raise UsageError(f"{archive}: refused: {'; '.join(wrong)}")
        refuse_beside_others(load_config(Card, temporary / FILE), track, root)
    return folder


def _members(archive: Path) -> dict[str, bytes]:
    """The content of the two files, by their names."""
    found: dict[str, bytes] = {}
    folders: set[PurePosixPath] = set()
    try:
        if archive.stat().st_size > MAX_ARCHIVE:
            raise DataError(archive, f"larger than {MAX_ARCHIVE // MIB} MiB, the most that is read of an archive")
        for path, content in _in_zip(archive) if archive.suffix == ".zip" else _in_tar(archive):
            if path.name in found:
                raise DataError(archive, f"holds {path.name} twice; one is expected")
            found[path.name] = content
            folders.add(path.parent)
    except OSError as error:
        raise reading_error(error, archive) or error from None
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RecursionError, ValueError) as error:
        raise DataError(archive, f"no archive that can be read ({printable(str(error))}); pack it as .tar.gz or .zip") from None
    if missing := [name for name in _SIZES if name not in found]:
        raise DataError(archive, f"{missing[0]} is missing; {' and '.join(_SIZES)} are expected at the top or in one folder")
    if len(folders) > 1:
        raise DataError(
            archive, f"holds its files in {len(folders)} folders; {' and '.join(_SIZES)} are expected at the top or in one folder"
        )
    return found


def _in_tar(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files of a tar archive, which is unpacked in memory first, within bounds: headers can be bombs, too."""
    data = io.BytesIO()
    with archive.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    for block in unpacked(archive) if packed else (archive.read_bytes(),):
        data.write(block)
        if data.tell() > MAX_ARCHIVE:
            raise DataError(archive, f"gives more than {MAX_ARCHIVE // MIB} MiB when unpacked, the most that is read of an archive")
    data.seek(0)
    with tarfile.open(fileobj=data, mode="r:") as tar:
        for number, member in enumerate(tar):
            path = _path(archive, member.name, number)
            if path is None or member.isdir():
                continue
            if not member.isreg() or member.issparse() or (content := tar.extractfile(member)) is None:
                raise DataError(archive, f"{printable(member.name)!r} is a link, a device or a pipe; plain files are expected")
            yield path, _bounded(archive, path.name, content.read(_size(archive, path.name) + 1))


def _in_zip(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    with zipfile.ZipFile(archive) as packed:
        for number, info in enumerate(islice(packed.infolist(), _MOST_MEMBERS + 1)):
            path = _path(archive, info.filename, number)
            mode = info.external_attr >> 16
            if path is None or info.is_dir():
                continue
            if (stat.S_IFMT(mode) not in (0, stat.S_IFREG)) or info.flag_bits & 1:
                raise DataError(archive, f"{printable(info.filename)!r} is a link, a device or encrypted; plain files are expected")
            with packed.open(info) as content:
                yield path, _bounded(archive, path.name, content.read(_size(archive, path.name) + 1))


def _path(archive: Path, given: str, number: int) -> PurePosixPath | None:
    """The path of a member, which leads nowhere else; None for what macOS adds, which is not read."""
    path = PurePosixPath(given)
    if number >= _MOST_MEMBERS:
        raise DataError(archive, f"holds more than {_MOST_MEMBERS} members, where {' and '.join(_SIZES)} are expected")
    added = path.parts[:1] == (_LEFT_BY_MACOS,) or path.name.startswith("._") or path.name == ".DS_Store"
    if path.is_absolute() or ".." in path.parts or "\\" in given or ":" in given or (len(path.parts) > 2 and not added):
        raise DataError(archive, f"{printable(given)!r} leads out of the archive, or too deep into it; nothing was unpacked")
    return None if added else path


def _size(archive: Path, name: str) -> int:
    if name not in _SIZES:
        raise DataError(archive, f"{printable(name)!r} is no part of a submission ({', '.join(_SIZES)}); remove it")
    return _SIZES[name]


def _bounded(archive: Path, name: str, content: bytes) -> bytes:
    if len(content) > _SIZES[name]:
        raise DataError(archive, f"{name} has more than {_SIZES[name]:,} bytes, the most that is read of it")
    return content
