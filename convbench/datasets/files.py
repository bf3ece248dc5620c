"""Finding a dataset's official files below a folder, by name."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from convbench.errors import MissingFileError


def _matches(root: Path, patterns: Sequence[str]) -> list[Path]:
    """Files below ``root`` whose path, from the right, matches any of the patterns (``a/b.json`` also tests the folder)."""
    if root.is_file():
        return [root]
    found = []
    for path in sorted(root.rglob("*")):
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if any(_fits(path.relative_to(root).as_posix(), pattern) for pattern in patterns):
            found.append(path)
    return found


def _fits(relative: str, pattern: str) -> bool:
    """``*`` may stand for several folders, but what stands in the pattern's last part is asked of the file's own name."""
    return fnmatch.fnmatchcase(f"/{relative}", f"*/{pattern}") and fnmatch.fnmatchcase(
        relative.rpartition("/")[2], pattern.rpartition("/")[2]
    )


def find_files(root: Path, patterns: Sequence[str]) -> list[Path]:
    """All files below ``root`` that match; a missing ``root`` is an error.

    Args:
        root: Folder to look in, at any depth (hidden folders are passed over).
        patterns: Case-sensitive file names with ``*`` wildcards, also in their gzipped form; ``folder/name`` asks for the folder too.
    """
    if not root.exists():
        raise MissingFileError(f"{root}: no such folder")
    return _matches(root, [variant for pattern in patterns for variant in (pattern, f"{pattern}.gz")])


def find_optional(root: Path, patterns: Sequence[str], what: str, option: str) -> Path | None:
    """The one file below ``root`` that matches, or None.

    Raises:
        MissingFileError: Several files match; all are listed.
    """
    found = find_files(root, patterns)
    if len(found) > 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in found)
        raise MissingFileError(f"{root}: {len(found)} candidates for {what}: {names}; point {option} at the folder or file that is meant")
    return found[0] if found else None


def find_one(root: Path, patterns: Sequence[str], what: str, option: str = "--data") -> Path:
    """The one file below ``root`` that matches.

    Args:
        root: Folder to look in.
        patterns: As in ``find_files``.
        what: What is looked for, for the message ("TopiOCQA dev turns").
        option: The command-line option the user would change.

    Raises:
        MissingFileError: None or several match.
    """
    path = find_optional(root, patterns, what, option)
    if path is None:
        raise MissingFileError(f"{root}: no file for {what}: expected {' or '.join(patterns)} (or .gz) at any depth; set {option}")
    return path
