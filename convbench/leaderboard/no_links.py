"""Files and folders that leaderboards are made of, without following a link: one could lead out of the folder, to read or to write."""

from __future__ import annotations

import stat
from pathlib import Path

from convbench.errors import DataError


def files_below(root: Path, name: str) -> list[Path]:
    """The files of a name in the folders of ``root``, sorted.

    Raises:
        DataError: One of them, or its folder, is a link, or cannot be looked at; or it is a pipe or another thing that is no plain file.
    """
    found = []
    try:
        folders = sorted(root.iterdir()) if root.is_dir() else []
    except OSError as error:
        raise DataError(root, f"cannot be read ({error.strerror})") from None
    for folder in folders:
        path = folder / name
        if _mode(path) is not None:  # through a link, too: what is there is refused, not overlooked
            check_folder(folder)
            check_file(path)
            found.append(path)
    return found


def check_folder(path: Path) -> None:
    """Refuses a link in the place of a folder; that there is nothing is fine.

    Raises:
        DataError: It is a link, or a file.
    """
    mode = _mode(path)
    if mode is not None and stat.S_ISLNK(mode):
        raise DataError(path, "is a link, which is not followed: put the folder itself in its place")
    if mode is not None and not stat.S_ISDIR(mode):
        raise DataError(path, "expected a folder, found something else")


def check_file(path: Path) -> None:
    """Refuses a link, a pipe or a folder in the place of a file; that there is nothing is fine.

    Raises:
        DataError: It is no plain file.
    """
    mode = _mode(path)
    if mode is not None and stat.S_ISLNK(mode):
        raise DataError(path, "is a link, which is not followed: put the file itself in its place")
    if mode is not None and not stat.S_ISREG(mode):
        raise DataError(path, "expected a plain file, found something else")


def _mode(path: Path) -> int | None:
    """What stands at a path itself; None where there is nothing."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(path, f"cannot be looked at ({error.strerror})") from None
