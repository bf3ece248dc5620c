"""Everything on disk that standings are made of, read once: tracks with their submissions, and what papers report on each dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from convbench.errors import DataError, MissingFileError
from convbench.exchange.published import FILE as PUBLISHED
from convbench.exchange.published import Published, read_published
from convbench.leaderboard.entries import Entry, Scored, Unscored, read_entries
from convbench.leaderboard.no_links import check_folder, files_below
from convbench.leaderboard.places import SUBMISSIONS
from convbench.leaderboard.standings import Standings, standings_of
from convbench.leaderboard.track import FILE, NAME, Track, read_track, track_names

_DATASET = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class TrackBoard:
    """A track with all that stands on it.

    Attributes:
        track: The track.
        entries: Its submissions, by id.
        standings: Of each of its sides.
    """

    track: Track
    entries: tuple[Entry, ...]
    standings: tuple[Standings, ...]

    @property
    def scored(self) -> list[Scored]:
        """The submissions whose scores count."""
        return [entry for entry in self.entries if isinstance(entry, Scored)]

    @property
    def unscored(self) -> list[Unscored]:
        """The others."""
        return [entry for entry in self.entries if isinstance(entry, Unscored)]


@dataclass(frozen=True, slots=True)
class Board:
    """A folder of leaderboards.

    Attributes:
        tracks: By dataset, then by name.
        reported: Dataset -> what papers report on it, sorted.
    """

    tracks: tuple[TrackBoard, ...]
    reported: dict[str, Published]

    @property
    def datasets(self) -> list[str]:
        """Those that have a track or reported numbers, sorted."""
        return sorted({each.track.dataset for each in self.tracks} | set(self.reported))

    def tracks_on(self, dataset: str) -> list[TrackBoard]:
        """The tracks of a dataset."""
        return [each for each in self.tracks if each.track.dataset == dataset]

    def reported_on(self, track: Track) -> Published | None:
        """What papers report for a track: they measure at full scale."""
        return self.reported.get(track.dataset) if track.tier == "full" else None


def read_board(root: Path) -> Board:
    """Reads a folder of leaderboards.

    Raises:
        MissingFileError: There is nothing in it.
        DataError: A ``track.yaml`` or ``published.yaml`` is wrong, or a link, or in a folder that is one; a wrong submission is no error.
    """
    tracks = [_track(root, name) for name in track_names(root)]
    reported = {path.parent.name: read_published(path) for path in files_below(root, PUBLISHED) if NAME.fullmatch(path.parent.name)}
    if not tracks and not reported:
        raise MissingFileError(f"{root}: no leaderboards here (folders with a {FILE} or a {PUBLISHED})")
    return Board(tuple(sorted(tracks, key=lambda each: (each.track.dataset, each.track.name))), reported)


def _track(root: Path, name: str) -> TrackBoard:
    track = read_track(root, name)
    if not _DATASET.fullmatch(track.dataset):  # it names a page
        raise DataError(root / name / FILE, f"found {track.dataset!r:.80}, expected the name of a dataset", where="dataset")
    check_folder(root / name / SUBMISSIONS)
    entries = read_entries(root, name)
    return TrackBoard(track, entries, standings_of(track, entries))
