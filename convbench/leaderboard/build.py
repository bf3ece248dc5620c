"""Building: from tracks, submissions and reported numbers to README, index, CSV files and the site. The same inputs give the same bytes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from convbench.errors import MissingFileError, StorageError
from convbench.io.atomic import write_text
from convbench.io.lock import acquire
from convbench.leaderboard.board import Board, read_board
from convbench.leaderboard.csv_file import csv_text
from convbench.leaderboard.index_json import index_text
from convbench.leaderboard.no_links import check_file
from convbench.leaderboard.places import INDEX, SITE
from convbench.leaderboard.readme import readme_text
from convbench.leaderboard.site.pages import site_files
from convbench.leaderboard.swap import write_folder

log = logging.getLogger(__name__)

README = "README.md"
STANDINGS = "standings.csv"

MARKER = ".convbench-site"
"""A file that a site has, so that no other folder of its name is replaced."""

_LOCK = ".build.lock"


@dataclass(frozen=True, slots=True)
class Built:
    """What was built.

    Attributes:
        files: The files outside the site.
        site: The folder of the site.
        tracks: How many tracks it has.
        scored: How many submissions stand in them.
        unscored: (track, submission, status) of the others.
    """

    files: tuple[Path, ...]
    site: Path
    tracks: int
    scored: int
    unscored: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Generated:
    """What building writes, before it is written.

    Attributes:
        files: Path below the folder of leaderboards -> text, without the site.
        site: Path below the site's folder -> text.
    """

    files: dict[str, str]
    site: dict[str, str]


def generated(board: Board) -> Generated:
    """The text of every file that is made of tracks, submissions and reported numbers."""
    index = index_text(board)
    tables = {each.track.name: csv_text(each) for each in board.tracks}
    files = {INDEX: index, README: readme_text(board), **{f"{name}/{STANDINGS}": text for name, text in tables.items()}}
    # The site has copies of its own, so that it can be put on a server alone.
    copies = {INDEX: index, **{f"track/{name}.csv": text for name, text in tables.items()}}
    site = {MARKER: "convbench leaderboard build made this folder, and replaces it.\n", **site_files(board), **copies}
    return Generated(files, site)


def build(root: Path) -> Built:
    """Builds everything that is generated in a folder of leaderboards.

    Everything is made before anything is written; each file is replaced as a whole, and so is the site. Where another process builds in the
    same folder, this one waits for it.

    Args:
        root: The folder.

    Raises:
        MissingFileError: There are no leaderboards in it.
        DataError: A ``track.yaml`` or ``published.yaml`` is wrong, or something that is read or written is a link.
        StorageError: Something cannot be written, or a folder that was not built stands where the site belongs.
    """
    if not root.is_dir():
        raise MissingFileError(f"{root}: no such folder")
    check_file(root / _LOCK)
    with acquire(root / _LOCK, lambda who: log.warning("%s: %s builds there; waiting for it", root, who)):
        board = read_board(root)
        made = generated(board)
        _check_site(root / SITE)
        write_folder(root / SITE, made.site)
        for name, text in made.files.items():
            write_text(root / name, text)
    files = tuple(root / name for name in made.files)
    unscored = tuple((each.track.name, entry.id, entry.status) for each in board.tracks for entry in each.unscored)
    return Built(files, root / SITE, len(board.tracks), sum(len(each.scored) for each in board.tracks), unscored)


def _check_site(site: Path) -> None:
    """Building takes away what is in the site's folder, so it has to be one."""
    if site.is_dir() and any(site.iterdir()) and not (site / MARKER).is_file():
        raise StorageError(f"{site}: not built by convbench (it has no {MARKER}), and would be replaced: move it away")
