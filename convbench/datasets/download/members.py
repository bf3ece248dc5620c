"""The members of an archive as a stream, each looked at before a byte of it is written."""

from __future__ import annotations

import fnmatch
import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from convbench.datasets.download.manifest import Unpack
from convbench.errors import DataError

_PADDING = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        path: Its path, confined.
        size: The size that the archive states; what it gives is counted all the same.
        open: Opens its content.
    """

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]


@contextmanager
def open_members(path: Path, rule: Unpack) -> Iterator[Iterator[Member]]:
    """The files of a zip or tar.gz archive that a rule takes.

    The whole archive is refused for one member that leads outside, is a link or a device, comes twice, or is encrypted, wanted or not:
    no official archive has such a member.

    Raises:
        DataError: Such a member, too many of them, or a broken archive; archive and member are named.
    """
    opener = _zip_members if rule.format == "zip" else _tar_members
    try:
        with opener(path) as members:
            yield _checked(members, path, rule)
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(path, f"broken {rule.format} archive ({error or type(error).__name__}): remove it and fetch it again") from None


def _checked(members: Iterator[Member], path: Path, rule: Unpack) -> Iterator[Member]:
    seen: set[PurePosixPath] = set()
    for member in members:
        if not member.path.parts:
            raise DataError(path, "has a file without a name: refused")
        if member.path in seen:
            raise DataError(path, "comes twice in the archive", where=str(member.path))
        seen.add(member.path)
        if len(seen) > rule.most_members:
            raise DataError(path, f"has more than {rule.most_members:,} files: refused")
        if any(fnmatch.fnmatchcase(str(member.path), pattern) for pattern in rule.members):
            yield member


@contextmanager
def _zip_members(path: Path) -> Iterator[Iterator[Member]]:
    with zipfile.ZipFile(path) as archive:

        def members() -> Iterator[Member]:
            for info in archive.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise DataError(path, "is a link or a device: refused", where=info.filename)
                if info.flag_bits & 0x1:
                    raise DataError(path, "is encrypted: refused", where=info.filename)
                place = _confined(info.orig_filename, path)
                if not info.is_dir():
                    yield Member(place, info.file_size, partial(archive.open, info))

        yield members()


@contextmanager
def _tar_members(path: Path) -> Iterator[Iterator[Member]]:
    with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:  # tarfile's own gzip reader checks no sum

        def members() -> Iterator[Member]:
            for info in archive:
                if not (info.isreg() or info.isdir()) or info.issparse():
                    raise DataError(path, "is a link, a device or a sparse file: refused", where=info.name)
                place = _confined(info.name, path)
                if info.isreg():
                    yield Member(place, info.size, partial(_content, archive, info))
            if len(stream.read(_PADDING)) == _PADDING:  # to the end, where the sum stands
                raise DataError(path, "goes on after the end of the archive: refused")

        yield members()


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    assert content is not None  # a regular file
    return content


def _confined(name: str, path: Path) -> PurePosixPath:
    place = PurePosixPath(name)
    parts = place.parts
    if not name.isprintable() or "\\" in name or place.is_absolute() or ".." in parts or (parts and parts[0][1:2] == ":"):
        raise DataError(path, "leads outside the folder that it is unpacked to: refused", where=name)
    return place
