"""Whether what is generated is what would be generated now, without writing anything: for checks of what people commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from convbench.leaderboard.board import read_board
from convbench.leaderboard.build import generated
from convbench.leaderboard.names import printable
from convbench.leaderboard.places import SITE


def differences(root: Path) -> list[str]:
    """What building would change below ``root``, one line a file: ``PATH: why``; empty where it would change nothing.

    Raises:
        MissingFileError: There are no leaderboards in it.
        DataError: A ``track.yaml`` or ``published.yaml`` is wrong.
    """
    made = generated(read_board(root))
    files = made.files | {f"{SITE}/{name}": text for name, text in made.site.items()}
    return [*_other(root, files), *_left_over(root, files)]


def _other(root: Path, files: dict[str, str]) -> Iterator[str]:
    for name, text in files.items():
        path = root / name
        if path.is_symlink():
            yield f"{name}: is a link, expected a file"
        elif not path.is_file():
            yield f"{name}: missing"
        elif path.read_bytes() != text.encode():
            yield f"{name}: differs"


def _left_over(root: Path, files: dict[str, str]) -> Iterator[str]:
    """Files of the site that nothing is made into: building replaces its folder as a whole."""
    for path in sorted((root / SITE).rglob("*")):
        name = path.relative_to(root).as_posix()
        if name not in files and (path.is_symlink() or not path.is_dir()):
            yield f"{printable(name)}: nothing is built there"
