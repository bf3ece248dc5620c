"""BM25 indexes of versions that built them in memory: nothing reads them any more, and nothing removes them, so they are named."""

from __future__ import annotations

import logging
from pathlib import Path

from convbench.retrieval.index_folder import LOCK, MANIFEST

_POSTINGS = "data.csc.index.npy"
_log = logging.getLogger(__name__)


def name_former(indexes: Path) -> None:
    """Says which folders can go, and what they take.

    Args:
        indexes: The folder of all BM25 indexes in a cache.
    """
    former = [path for path in sorted(indexes.iterdir()) if _is_former(path)]
    if former:
        size = sum(path.stat().st_size for folder in former for path in folder.iterdir())
        names = ", ".join(path.name for path in former)
        what = "BM25 indexes of an older version, which are no longer read and can be removed"
        _log.warning("%s: %.1f MB of %s: %s", indexes, size / 1e6, what, names)


def _is_former(folder: Path) -> bool:
    """Whether it is an index without a manifest, in whose folder no builder was: they came whole, under another name."""
    return (folder / _POSTINGS).is_file() and not any((folder / name).exists() for name in (LOCK, MANIFEST))
