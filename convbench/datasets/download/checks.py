"""Digests of a file, computed as its bytes pass, and what they are held to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from convbench.datasets.download.manifest import DownloadFile

_BLOCK = 1 << 20


class RunningDigests:
    """sha256, and md5 where it is asked for, of bytes that come in pieces.

    sha256 is always there: it is written down for files that nobody published a digest of.
    """

    def __init__(self, file: DownloadFile) -> None:
        self._hashes = {"sha256": hashlib.sha256()}
        if file.md5 is not None:
            self._hashes["md5"] = hashlib.md5(usedforsecurity=False)  # what the publisher gives

    def update(self, block: bytes) -> None:
        """Takes the next bytes."""
        for each in self._hashes.values():
            each.update(block)

    def update_from(self, path: Path) -> None:
        """Takes the bytes of a file: the part that an earlier download left."""
        with path.open("rb") as handle:
            while block := handle.read(_BLOCK):
                self.update(block)

    def values(self) -> dict[str, str]:
        """Kind -> digest of the bytes so far."""
        return {kind: each.hexdigest() for kind, each in self._hashes.items()}


def digests_of(path: Path, file: DownloadFile) -> dict[str, str]:
    """Every digest of a whole file that is asked for, and its sha256."""
    running = RunningDigests(file)
    running.update_from(path)
    return with_git_blob(running.values(), path, file)


def with_git_blob(digests: Mapping[str, str], path: Path, file: DownloadFile) -> dict[str, str]:
    """The digests, and git's id of the content where it is asked for (it begins with the length, so it cannot be computed in passing)."""
    if file.git_blob is None:
        return dict(digests)
    blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            blob.update(block)
    return {**digests, "git_blob": blob.hexdigest()}


def difference(file: DownloadFile, size: int, digests: Mapping[str, str]) -> str | None:
    """What is wrong with a file of this size and these digests; None where nothing is."""
    if file.size is not None and size != file.size:
        return f"it has {size:,} bytes, expected {file.size:,}"
    for kind, expected in file.digests.items():
        if digests[kind] != expected:
            return f"its {kind} is {digests[kind]}, expected {expected}"
    return None


def doubt(file: DownloadFile, digests: Mapping[str, str]) -> str | None:
    """A note where a digest that is not the publisher's differs."""
    if file.unconfirmed_sha256 in (None, digests["sha256"]):
        return None
    return f"{file.name}: its sha256 is {digests['sha256']}, not the {file.unconfirmed_sha256} that others stated; the publisher gives none"
