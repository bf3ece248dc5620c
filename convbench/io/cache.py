"""Where derived files (passage stores, indexes, embeddings) are kept between runs."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from convbench.errors import StorageError
from convbench.io.atomic import write_text
from convbench.io.digests import file_sha256, value_sha256


def cache_root() -> Path:
    """``$CONVBENCH_CACHE``, else ``$XDG_CACHE_HOME/convbench``, else ``~/.cache/convbench``."""
    if chosen := os.environ.get("CONVBENCH_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "convbench"


def remembered_sha256(path: Path, cache: Path) -> str:
    """The sha256 of a file, remembered while nothing about it changes (a corpus can hold tens of gigabytes).

    Size and modification time are not enough: what ``cp -p`` or ``tar`` put in a file's place can have both. The inode, or the time at
    which the file system noted the change and which no program can set, is then another.
    """
    stat = path.stat()
    state = [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns]
    memo = cache / "digests" / f"{value_sha256(str(path.resolve()))[:32]}.json"
    try:
        known = json.loads(memo.read_text(encoding="utf-8"))
        if known["state"] == state:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no memo, or one that another version wrote: computed anew below
    digest = file_sha256(path)
    with suppress(StorageError):  # only a shortcut: where the cache cannot be written to, the next run computes it again
        write_text(memo, json.dumps({"state": state, "sha256": digest}) + "\n")
    return digest
