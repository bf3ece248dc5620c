"""Choosing among files of one name: a ``dev.json`` is INSCIT's or CANARD's, which its first characters tell."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

from convbench.datasets.base import DatasetSource
from convbench.datasets.files import find_files, find_one, find_optional
from convbench.io.jsonl import open_text

_HEAD = 4096


def find_opening(root: Path, patterns: Sequence[str], opening: re.Pattern[str], what: str) -> Path:
    """The one file below ``root`` that has the name and, where several have it, opens like the format.

    Args:
        root: The folder to look in, or the file itself.
        patterns: File names, as in ``find_files``.
        opening: Matches the start of a file of the format.
        what: What is looked for, for the message.

    Raises:
        MissingFileError: There is none, or several that cannot be told apart.
    """
    likely = find_openings(root, patterns, opening)
    return likely[0] if len(likely) == 1 else find_one(root, patterns, what)


def find_openings(root: Path, patterns: Sequence[str], opening: re.Pattern[str]) -> list[Path]:
    """All files below ``root`` that have the name and open like the format; files that cannot be read open like none."""
    return [path for path in find_files(root, patterns) if opening.match(_head(path))]


def find_companion(root: Path, patterns: Sequence[str], what: str) -> Path | None:
    """The one file below ``root`` that matches, or None; None too where ``root`` is itself the dialogue file."""
    return None if root.is_file() else find_optional(root, patterns, what, "--data")


def find_corpus(source: DatasetSource, patterns: Sequence[str], what: str) -> Path | None:
    """The corpus file: the one that the user named (it must be there), else the one below the data folder, else None."""
    if source.corpus is not None:
        return find_one(source.corpus, patterns, what, "--corpus")
    return None if source.root.is_file() else find_optional(source.root, patterns, what, "--corpus")


def _head(path: Path) -> str:
    with open_text(path) as handle:
        try:
            return handle.read(_HEAD)
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error):
            return ""
