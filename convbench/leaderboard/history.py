"""How the standings of a track came about: what stood where as each submission arrived, by what is measured today.

Scores of other days are not mixed in: a change of a metric would look like progress. What was published on a day is in the version history
of ``standings.csv``.
"""

from __future__ import annotations

from dataclasses import dataclass

from convbench.leaderboard.standings import Row, Standings


@dataclass(frozen=True, slots=True)
class Step:
    """A submission as it arrived.

    Attributes:
        day: ``YYYY-MM-DD``.
        row: It.
        value: Its value by the ranking measure.
        place: Its place among those of its day and before, from 1.
        of: How many those were.
        leader: The best of them.
        best: The leader's value.
    """

    day: str
    row: Row
    value: float
    place: int
    of: int
    leader: Row
    best: float


def history_of(standings: Standings) -> tuple[Step, ...]:
    """The steps, oldest first. What does not compete leaves no trace; of one day, submissions count together."""
    by = standings.ranked.by
    valued = [(row, value) for row in standings.rows if row.section == "competing" and (value := row.value(by)) is not None]
    steps: list[Step] = []
    for row, value in sorted(valued, key=lambda pair: (pair[0].entry.card.submitted, pair[0].entry.id)):
        day = row.entry.card.submitted
        so_far = [pair for pair in valued if pair[0].entry.card.submitted <= day]  # in the order of the standings
        place = next(place for place, (other, _) in enumerate(so_far, start=1) if other is row)
        leader, best = so_far[0]
        steps.append(Step(day, row, value, place, len(so_far), leader, best))
    return tuple(steps)
