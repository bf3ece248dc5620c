"""Judges what a pull request changes below leaderboards/: ``leaderboard_changes.py BASE PROPOSED OUTCOMES``.

BASE and PROPOSED are folders of leaderboards, before and after; OUTCOMES is what ``convbench leaderboard verify --check --json`` printed
for PROPOSED. The exit code is 1 where something has to be mended, or where a maintainer has to look and ``APPROVED`` is not ``true``.

A submission that was refused before and is not touched stops nobody. Nothing of a pull request is run or unpacked here; this file needs
nothing but Python's own library.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LABEL = "verified-by-hand"
SUBMISSIONS, VERIFIED = "submissions", "verified.json"
_GENERATED = ("README.md", "index.json", ".build.lock")

Submission = tuple[str, str]
"""Track and id."""


def contents(root: Path) -> dict[str, str]:
    """Path below the folder -> what stands there: a digest, or where a link leads; what is generated is left out."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*files, *(name for name in folders if (Path(folder) / name).is_symlink())):
            path = Path(folder) / name
            relative = path.relative_to(root)
            if not _is_generated(relative.parts):
                found[relative.as_posix()] = _digest(path)
    return found


def _is_generated(parts: tuple[str, ...]) -> bool:
    return parts[0] == "site" or (len(parts) == 1 and parts[0] in _GENERATED) or (len(parts) == 2 and parts[1] == "standings.csv")


def _digest(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    if not stat.S_ISREG(mode):
        return "no plain file"
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def changed(base: Path, proposed: Path) -> dict[str, str]:
    """Path -> ``added``, ``changed`` or ``removed``, of what is not generated."""
    before, after = contents(base), contents(proposed)
    different = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return {path: "added" if path not in before else "changed" if path in after else "removed" for path in different}


def to_mend(base: Path, changes: dict[str, str], outcomes: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong, whoever looks at it."""
    touched = {found for path in changes if (found := _submission(path)) and not path.endswith(f"/{VERIFIED}")}
    for outcome in outcomes:
        track, submission, verified = outcome["track"], outcome["submission"], outcome["verified"]
        where = f"{track}/{submission}"
        if not submission:
            continue
        if verified is None:
            yield f"{where}: could not be verified: {outcome['reason']}"
            continue
        if outcome["changed"]:
            yield f"{where}: {VERIFIED} is not what verifying gives: run `convbench leaderboard verify` and commit what it writes"
        mine = (track, submission) in touched
        if verified["level"] is None and (mine or _level(base, track, submission) is not None):
            reasons = "; ".join(finding["message"] for finding in verified["findings"] if finding["severity"] == "refused")
            yield f"{where}: refused: {reasons}"
        elif mine and any(finding["check"] == "name-shared" for finding in verified["findings"]):
            yield f"{where}: its name is another's, or looks like one: choose another name"


def to_approve(base: Path, proposed: Path, changes: dict[str, str], outcomes: list[dict[str, Any]]) -> Iterator[str]:
    """What cannot be checked here, or is not for submitters to change."""
    checked = {outcome["track"] for outcome in outcomes if outcome["submission"]}
    for path, how in changes.items():
        found = _submission(path)
        if found is None:
            yield f"{path}: {how}; rules and reported numbers are for maintainers to change"
        elif not os.path.lexists(proposed / found[0] / SUBMISSIONS / found[1]):
            yield f"{path}: {how}; a submission is taken away"
        elif found[0] not in checked:
            yield f"{path}: {how}; its scores cannot be computed here, where the data of {found[0]} are not at hand"


def _submission(path: str) -> Submission | None:
    """The submission that a path is of."""
    track, *rest = path.split("/")
    return (track, rest[1]) if len(rest) > 2 and rest[0] == SUBMISSIONS else None


def _level(base: Path, track: str, submission: str) -> str | None:
    """The level that a submission had; None where it was refused, or was not there."""
    try:
        return json.loads((base / track / SUBMISSIONS / submission / VERIFIED).read_text(encoding="utf-8"))["level"]  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def main(base: Path, proposed: Path, outcomes: Path, approved: bool) -> int:
    """Prints what is found; returns the exit code."""
    for root in (base, proposed):
        if root.is_symlink() or not root.is_dir():
            _say(f"{root}: no folder")
            return 1
    verified = json.loads(outcomes.read_text(encoding="utf-8"))
    changes = changed(base, proposed)
    wrong, unknown = list(to_mend(base, changes, verified)), list(to_approve(base, proposed, changes, verified))
    for line in wrong:
        _say(f"to mend: {line}")
    for line in unknown:
        _say(f"{'approved' if approved else 'for a maintainer'}: {line}")
    if unknown and not approved:
        _say(
            f"A maintainer looks at these, verifies them with `convbench leaderboard verify --check --real-data DIR`, and gives the label "
            f"{LABEL}. It counts for what it was given for: after a further push it is taken away and given again."
        )
    return 1 if wrong or (unknown and not approved) else 0


def _say(text: str) -> None:
    """One line that commands nothing, whatever a folder is called."""
    line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    sys.stdout.write(f"- {line}\n")


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4]), approved=os.environ.get("APPROVED") == "true"))
