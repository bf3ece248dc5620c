"""The charts of the site: a submission's score by turn depth among the others', and how the best score of a track grew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from convbench.leaderboard.history import history_of
from convbench.leaderboard.site.chart import Chart, Point, chart_of
from convbench.leaderboard.standings import Row, Standings
from convbench.leaderboard.wording import line
from convbench.report.numbers import per_cent
from convbench.report.words import counted

_NAME = 120


def depth_chart(standings: Standings, row: Row) -> Chart | None:
    """The ranking measure by turn depth; None where it was not measured by depth, or at one depth only."""
    by = standings.ranked.by
    own = _by_depth(row, by)
    if len(own) < 2:
        return None
    others = [_by_depth(other, by) for other in standings.rows if other is not row and other.section == "competing"]
    points = [
        Point(depth, 100 * value, f"depth {depth}: {per_cent(value)} ({counted(turns, 'turn')})") for depth, (value, turns) in own.items()
    ]
    values = ", ".join(f"{per_cent(value)} at depth {depth} ({counted(turns, 'turn')})" for depth, (value, turns) in own.items())
    return chart_of(
        f"depth-{standings.side}",
        f"{line(by)} in per cent by turn depth, with the number of turns below",
        f"{line(row.entry.card.name, _NAME)}: {values}.",
        [(depth, str(depth), f"{turns:,}") for depth, (_, turns) in own.items()],
        points,
        others=[[Point(depth, 100 * value) for depth, (value, _) in other.items()] for other in others if len(other) > 1],
    )


def history_chart(standings: Standings) -> Chart | None:
    """The best score of its day, with every submission that competes; None where all came on one day."""
    steps = history_of(standings)
    days = {step.day: date.fromisoformat(step.day).toordinal() for step in steps}
    if len(days) < 2:
        return None
    best: list[Point] = []
    for step in steps:
        if best:
            best.append(Point(days[step.day], best[-1].y))
        best.append(Point(days[step.day], 100 * step.best))
    marks = [
        Point(days[step.day], 100 * step.value, f"{step.day}: {line(step.row.entry.card.name, _NAME)}, {per_cent(step.value)}")
        for step in steps
    ]
    first, last = steps[0], steps[-1]
    words = (
        f"The best was {per_cent(first.best)} on {first.day} and {per_cent(last.best)} on {last.day}; {counted(len(steps), 'submission')}."
    )
    labels = [(days[day], day, "") for day in (first.day, last.day)]
    title = f"Best {line(standings.ranked.by)} in per cent over time, by what is measured today"
    return chart_of(f"history-{standings.side}", title, words, labels, best, marks=marks)


def _by_depth(row: Row, by: str) -> Mapping[int, tuple[float, int]]:
    """Depth -> value and turns, ascending; what is no depth is left out."""
    found = row.scores[by].by_depth if by in row.scores else {}
    return {int(depth): found[depth] for depth in sorted((name for name in found if name.isascii() and name.isdigit()), key=int)}
