"""Where things are in a folder of leaderboards."""

from __future__ import annotations

import os
from pathlib import Path

SUBMISSIONS = "submissions"
RUN = "run.jsonl.gz"
SITE = "site"
INDEX = "index.json"


def submission_folder(root: Path, track: str, submission: str) -> Path:
    """The folder of a submission; both names have been checked against their patterns."""
    return root / track / SUBMISSIONS / submission


def submission_ids(root: Path, track: str) -> list[str]:
    """The folders below a track's ``submissions``, sorted; files, and what a killed command left (``.id.tmp``), are left out.

    Links are among them, so that whoever looks through them says that they are not followed.
    """
    folder = root / track / SUBMISSIONS
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if entry.is_symlink() or entry.is_dir(follow_symlinks=False)]
    return sorted(name for name in found if not name.startswith("."))
