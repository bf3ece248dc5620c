"""Where things are in a folder of leaderboards."""

from __future__ import annotations

from pathlib import Path

SUBMISSIONS = "submissions"
RUN = "run.jsonl.gz"
SITE = "site"
INDEX = "index.json"


def submission_folder(root: Path, track: str, submission: str) -> Path:
    """The folder of a submission; both names have been checked against their patterns."""
    return root / track / SUBMISSIONS / submission


def submission_ids(root: Path, track: str) -> list[str]:
    """The folders below a track's ``submissions``, sorted; links, files, and what a killed command left (``.id.tmp``) are left out."""
    folder = root / track / SUBMISSIONS
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in found if path.is_dir() and not path.is_symlink() and not path.name.startswith("."))
