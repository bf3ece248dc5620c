"""Where derived files (passage stores, indexes, embeddings) are kept between runs."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path

from convbench.errors import StorageError
from convbench.io.atomic import write_text
from convbench.io.digests import file_sha256, value_sha256
from convbench.io.file_state import file_state
from convbench.io.sealed import BrokenSealError, sealed, unsealed

_log = logging.getLogger(__name__)


def cache_root() -> Path:
    """``$CONVBENCH_CACHE``, else ``$XDG_CACHE_HOME/convbench``, else ``~/.cache/convbench``."""
    if chosen := os.environ.get("CONVBENCH_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "convbench"


def remembered_sha256(path: Path, cache: Path) -> str:
    """The sha256 of a file, remembered while its ``file_state`` stays as it is (a corpus can hold tens of gigabytes)."""
    state = file_state(path)
    memo = cache / "digests" / f"{value_sha256(str(path.resolve()))[:32]}.json"
    try:
        known = unsealed(json.loads(memo.read_text(encoding="utf-8")))
        if known["state"] == state:
            return str(known["sha256"])
    except BrokenSealError:
        _log.warning("%s: the remembered digest of %s is damaged: computed again", memo, path.name)
    except (OSError, ValueError, KeyError):
        pass  # no memo, or one that another version wrote: computed anew below
    digest = file_sha256(path)
    with suppress(StorageError):  # only a shortcut: where the cache cannot be written to, the next run computes it again
        write_text(memo, json.dumps(sealed({"state": state, "sha256": digest})) + "\n")
    return digest
