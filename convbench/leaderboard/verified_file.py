"""Writing a ``verified.json`` beside what it is of, whatever is there."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from convbench.errors import StorageError
from convbench.io.atomic import write_text
from convbench.leaderboard.bound import LARGEST
from convbench.leaderboard.card import ID
from convbench.leaderboard.names import printable
from convbench.leaderboard.safe_read import refused
from convbench.leaderboard.verified import FILE, Finding, Verified

log = logging.getLogger(__name__)


def write_verified(folder: Path, verified: Verified) -> bool | Finding:
    """Writes ``verified.json`` where it would change, in the place of whatever is there; never through a link.

    Args:
        folder: The submission's folder, which may be anything.
        verified: What is written.

    Returns:
        Whether it was written; where the folder forbids that, a finding, as the submission alone is to suffer from it.

    Raises:
        StorageError: It cannot be written for something else, such as a full disk.
    """
    try:
        return _write(folder, verified)
    except (OSError, StorageError) as error:
        cause = error.__cause__ if isinstance(error, StorageError) else error
        if not isinstance(cause, PermissionError):  # a full disk is nobody's fault
            raise
        reason = str(error.strerror) if isinstance(error, OSError) else str(error).rpartition("cannot write: ")[2].partition(";")[0]
        return refused("files", f"{FILE} cannot be written: {printable(reason)}")


def _write(folder: Path, verified: Verified) -> bool:
    path = folder / FILE
    if not re.fullmatch(ID, folder.name) or any(place.is_symlink() for place in (folder, folder.parent, folder.parent.parent)):
        return False
    text = json.dumps(verified.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if not path.is_symlink() and path.is_file() and path.stat().st_size <= LARGEST and path.read_bytes() == text.encode():
        return False
    if path.is_dir() and not path.is_symlink():
        log.warning("%s: a folder stands where the file belongs: remove it", path)
        return False
    write_text(path, text)
    return True
