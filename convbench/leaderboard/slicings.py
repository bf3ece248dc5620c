"""The slices that standings show: their titles, and labels in the order in which reports have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convbench.analysis.slices import SLICES, slicing_names
from convbench.analysis.slices.base import in_order
from convbench.leaderboard.standings import Row, Standings
from convbench.leaderboard.track import Track


@dataclass(frozen=True, slots=True)
class ShownSlicing:
    """A slicing.

    Attributes:
        name: Its name.
        title: For people.
        labels: Of its slices, in order.
    """

    name: str
    title: str
    labels: tuple[str, ...]


def slicings_of(track: Track, standings: Standings) -> list[ShownSlicing]:
    """The slicings of a track by which some row has values of the ranking measure."""
    found = []
    for name in track.slices:
        labels = {label for row in standings.rows for label in _slices(row, standings.ranked.by).get(name, {})}
        if labels:
            found.append(ShownSlicing(name, title_of(name), tuple(ordered(name, sorted(labels)))))
    return found


def slice_value(row: Row, by: str, slicing: str, label: str) -> tuple[float, int] | None:
    """Value and turns of a row on one slice."""
    return _slices(row, by).get(slicing, {}).get(label)


def title_of(name: str) -> str:
    """A slicing's title; its name where this installation does not know it."""
    return str(SLICES.get(name)().title) if name in slicing_names() else name


def ordered(name: str, labels: Sequence[str]) -> list[str]:
    """Labels in the slicing's own order."""
    return list(SLICES.get(name)().order(labels)) if name in slicing_names() else in_order(labels)


def _slices(row: Row, by: str) -> dict[str, dict[str, tuple[float, int]]]:
    return row.scores[by].slices if by in row.scores else {}
