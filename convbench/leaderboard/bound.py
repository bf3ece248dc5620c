"""A ``verified.json`` and the files that it is of: what was found counts only as long as they are the same."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from convbench.config import MAX_YAML, build_config
from convbench.errors import ConvbenchError, DataError
from convbench.exchange.strict_json import read_document
from convbench.io.digests import file_sha256
from convbench.leaderboard import card as cards
from convbench.leaderboard import verified as results
from convbench.leaderboard.places import RUN, submission_ids
from convbench.leaderboard.safe_read import MAX_PACKED, look_through
from convbench.leaderboard.verified import Verified

LARGEST = 32 << 20
"""Bytes of a ``verified.json``: a hundred times what one with every slicing has."""


class Digests(NamedTuple):
    """Digests of the two files of a submission; None for one that cannot be read, or is too large to be."""

    manifest: str | None = None
    run: str | None = None


def digests_of(folder: Path) -> Digests:
    """The digests of a submission whose folder was looked through."""
    return Digests(_digest(folder / cards.FILE, MAX_YAML), _digest(folder / RUN, MAX_PACKED))


def read_verified(folder: Path) -> Verified:
    """The ``verified.json`` in a folder that was looked through.

    Raises:
        MissingFileError: There is none.
        DataError, UsageError: It is larger than ``LARGEST`` bytes, or not what verifying writes.
        OSError: It cannot be read.
    """
    path = folder / results.FILE
    if path.stat().st_size > LARGEST:
        raise DataError(path, f"larger than {LARGEST >> 20} MiB; verify the submission again")
    return build_config(Verified, read_document(path), str(path))


def is_of(verified: Verified, digests: Digests) -> bool:
    """Whether what was verified are the files with these digests."""
    same = (verified.manifest_sha256, verified.run_sha256) == digests
    return same and (verified.level is None or None not in digests)


def accepted(root: Path, track: str) -> set[str]:
    """The submissions of a track that were verified as they are now, and not refused."""
    return {submission for submission in submission_ids(root, track) if _is_accepted(root, track, submission)}


def _is_accepted(root: Path, track: str, submission: str) -> bool:
    looked = look_through(root, track, submission)
    if looked.findings:
        return False
    try:
        verified = read_verified(looked.folder)
    except (ConvbenchError, OSError):
        return False
    return verified.level is not None and is_of(verified, digests_of(looked.folder))


def _digest(path: Path, largest: int) -> str | None:
    try:
        return file_sha256(path) if path.stat().st_size <= largest else None
    except OSError:
        return None
