"""Whether what is generated is what would be generated now, without writing anything: for checks of what people commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from convbench.leaderboard.board import read_board
from convbench.leaderboard.build import generated
from convbench.leaderboard.names import printable
from convbench.leaderboard.places import SITE


def differences(root: Path) -> list[str]:
    """What building would change below ``root``, one line a file: ``PATH: why``; empty where it would change nothing.

    The site is looked at where there is one: it is made of what the other files are made of, and is not committed.

    Raises:
        MissingFileError: There are no leaderboards in it.
        DataError: A ``track.yaml`` or ``published.yaml`` is wrong, or a link, or in a folder that is one.
    """
    made = generated(read_board(root))
    if not os.path.lexists(root / SITE):
        return list(_other(root, made.files))
    files = made.files | {f"{SITE}/{name}": text for name, text in made.site.items()}
    if (root / SITE).is_symlink():
        return [*_other(root, made.files), f"{SITE}: is a link, expected a folder"]
    return [*_other(root, files), *_left_over(root, files)]


def _other(root: Path, files: dict[str, str]) -> Iterator[str]:
    for name, text in files.items():
        path, wanted = root / name, text.encode()
        if _leads_away(path, root):
            yield f"{name}: is a link, expected a file"
        elif not path.is_file():
            yield f"{name}: missing"
        elif path.stat().st_size != len(wanted) or path.read_bytes() != wanted:
            yield f"{name}: differs"


def _leads_away(path: Path, root: Path) -> bool:
    """Whether the path or a folder of it below the root is a link."""
    return path != root and (path.is_symlink() or _leads_away(path.parent, root))


def _left_over(root: Path, files: dict[str, str]) -> Iterator[str]:
    """Files of the site that nothing is made into: building replaces its folder as a whole."""
    for path in sorted((root / SITE).rglob("*")):
        name = path.relative_to(root).as_posix()
        if name not in files and (path.is_symlink() or not path.is_dir()):
            yield f"{printable(name)}: nothing is built there"
