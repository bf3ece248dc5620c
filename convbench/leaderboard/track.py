"""A track: what is compared on one leaderboard, and by what rule (``leaderboards/<track>/track.yaml``)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from convbench.config import Config, load_config
from convbench.errors import MissingFileError, UsageError
from convbench.leaderboard.no_links import files_below
from convbench.registry import did_you_mean

FILE = "track.yaml"
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")

Side = Literal["retrieval", "response"]


class Ranked(Config):
    """The measures of one side of a track.

    Attributes:
        measures: In the order of their columns, by the names that results have.
        by: The one that orders the standings.
    """

    measures: tuple[str, ...] = Field(min_length=1)
    by: str

    @model_validator(mode="after")
    def _is_shown(self) -> Ranked:
        if self.by not in self.measures:
            raise ValueError(f"by: {self.by!r} is not among its measures")
        return self


class Conditions(Config):
    """What runs of the track may see.

    Attributes:
        history: History views; empty: any, shown in a column.
        evidence: Evidence views.
    """

    history: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ("retrieved",)


class Track(Config):
    """A track.

    Attributes:
        name: Its folder's name.
        title: For people.
        description: One or two sentences.
        dataset: The dataset.
        split: The split; None: the one the field evaluates on.
        set: Name of the set in ``baselines/sets.yaml`` whose files runs are scored against; None: the dataset's whole files, which are
            given with ``--data``.
        tier: ``full``, ``sample`` or ``mini``: rows of different tiers are never compared.
        protocol: Named protocol; None: the dataset's first.
        turnset_sha256: The turns that a submission must cover; None where no run has been measured yet.
        collection_sha256: The collection it must have searched; None likewise.
        depth: Passages of a turn that are kept at most.
        retrieval: Measures of rankings; None: the track has none.
        response: Measures of responses; None likewise.
        conditions: What runs may see.
        slices: Slicings shown for the ranking measure (``depth``, ``topic`` ...).
        contains: Sources whose conversations the test set holds (``quac`` ...), besides the dataset itself, for the check of training data.
    """

    name: str = Field(pattern=NAME.pattern)
    title: str
    description: str
    dataset: str
    split: str | None = None
    set: str | None = None
    tier: Literal["full", "sample", "mini"]
    protocol: str | None = None
    turnset_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    collection_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    depth: int = Field(default=100, ge=1, le=1000)
    retrieval: Ranked | None = None
    response: Ranked | None = None
    conditions: Conditions = Conditions()
    slices: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()


def track_names(root: Path) -> list[str]:
    """The tracks below ``root``, sorted.

    Raises:
        DataError: A ``track.yaml`` or its folder is a link.
    """
    return [path.parent.name for path in files_below(root, FILE)]


def read_track(root: Path, name: str) -> Track:
    """Reads a track.

    Raises:
        UsageError: There is none of that name.
        DataError: Its file is wrong, or some track is a link.
    """
    names = track_names(root)
    if name not in names:
        if not names:
            raise MissingFileError(f"{root}: no tracks here (folders with a {FILE})")
        raise UsageError(f"unknown track {name!r}.{did_you_mean(name, names)} Known: {', '.join(names)}")
    track = load_config(Track, root / name / FILE)
    if track.name != name:
        raise UsageError(f"{root / name / FILE}: name: expected {name!r}, the folder's, found {track.name!r}")
    return track
