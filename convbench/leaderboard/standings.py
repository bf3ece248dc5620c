"""The standings of a track: who stands where by its ranking measure, in groups that a test tells apart instead of bare ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from convbench.analysis.tie_groups import tie_groups
from convbench.leaderboard.entries import Entry, Scored
from convbench.leaderboard.track import Ranked, Side, Track
from convbench.leaderboard.verified import MeasuredScore
from convbench.systems.competing import NO_COMPETITORS

Section = Literal["competing", "contaminated", "reference"]

SECTIONS: tuple[Section, ...] = ("competing", "contaminated", "reference")
"""Rows stand in this order. Only those that compete have letters."""

MOST_GROUPS = 26
"""Of more groups than there are letters nobody can read who shares one with whom."""


@dataclass(frozen=True, slots=True)
class Row:
    """A submission in the standings of one side.

    Attributes:
        entry: The submission.
        scores: Measure -> what was measured, for the measures of this side that it has.
        section: Whether it competes.
        letters: Two that share a letter are not told apart; empty where it does not compete or has no value, or where there would be more
            than ``MOST_GROUPS`` letters.
        apart: (n, m): of the m others that compete and have a value it is told apart from n; None where it does not compete or has no
            value.
        leads: Whether it competes and is not told apart from the best.
    """

    entry: Scored
    scores: dict[str, MeasuredScore]
    section: Section
    letters: str = ""
    apart: tuple[int, int] | None = None
    leads: bool = False

    def value(self, measure: str) -> float | None:
        """Its value by a measure, or None."""
        return self.scores[measure].value if measure in self.scores else None


@dataclass(frozen=True, slots=True)
class Standings:
    """The standings of one side of a track.

    Attributes:
        side: ``retrieval`` or ``response``.
        ranked: Its measures, and the one that orders it.
        higher_is_better: Of the one that orders it.
        rows: Section by section, best first.
    """

    side: Side
    ranked: Ranked
    higher_is_better: bool
    rows: tuple[Row, ...]


def standings_of(track: Track, entries: Sequence[Entry]) -> tuple[Standings, ...]:
    """The standings of each side that the track has, retrieval first."""
    sides: tuple[tuple[Side, Ranked | None], ...] = (("retrieval", track.retrieval), ("response", track.response))
    scored = [entry for entry in entries if isinstance(entry, Scored)]
    return tuple(_standings(side, ranked, scored) for side, ranked in sides if ranked is not None)


def section_of(entry: Scored) -> Section:
    """Whether a submission competes: ceiling, floor and shortcuts do not, nor does what was trained on the test conversations.

    Queries that people rewrote are a ceiling too: nobody has them outside a test.
    """
    if entry.card.kind in NO_COMPETITORS or entry.card.rewriter == "human":
        return "reference"
    return "contaminated" if entry.verified.contaminated == "yes" else "competing"


def _standings(side: Side, ranked: Ranked, scored: Iterable[Scored]) -> Standings:
    taking_part = [(entry, scores) for entry in scored if ranked.by in (scores := _scores(entry, side, ranked))]
    higher = all(scores[ranked.by].higher_is_better for _, scores in taking_part)
    rows: list[Row] = []
    for section in SECTIONS:
        members = [Row(entry, scores, section) for entry, scores in taking_part if section_of(entry) == section]
        ordered = sorted(members, key=lambda row: _place(row, ranked.by, higher))
        rows += _lettered(ordered, ranked.by) if section == "competing" else ordered
    return Standings(side, ranked, higher, tuple(rows))


def _scores(entry: Scored, side: Side, ranked: Ranked) -> dict[str, MeasuredScore]:
    return {score.measure: score for score in entry.verified.scores if score.side == side and score.measure in ranked.measures}


def _place(row: Row, by: str, higher: bool) -> tuple[bool, float, str]:
    """Best first, what has no value last; equals by id, so that every build has one order."""
    value = row.value(by)
    return value is None, 0.0 if value is None else -value if higher else value, row.entry.id


def _lettered(rows: Sequence[Row], by: str) -> list[Row]:
    order = [place for place, row in enumerate(rows) if row.value(by) is not None]
    places = {rows[place].entry.id: place for place in order}
    # A pair counts where either of the two names it: one of them may have been verified before the other came.
    separated = {
        (min(places[row.entry.id], places[other]), max(places[row.entry.id], places[other]))
        for row in rows
        for other in row.entry.verified.separated.get(by, ())
        if row.entry.id in places and other in places and other != row.entry.id
    }
    letters = tie_groups(order, separated, MOST_GROUPS)
    apart = Counter(place for pair in separated for place in pair)
    placed = {
        place: replace(
            rows[place], letters=letters.get(place, ""), apart=(apart[place], len(order) - 1), leads=(order[0], place) not in separated
        )
        for place in order
    }
    return [placed.get(place, row) for place, row in enumerate(rows)]
