"""Where gold passages are ranked: the share of judged turns that have one within each rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from convbench.comparison.model import TaskComparison
from convbench.comparison.sides import sides_of
from convbench.report.figures.canvas import NARROW, grid_lines, legend_below, legend_height, new_figure
from convbench.report.figures.picture import Picture, picture_name
from convbench.report.figures.series import Series, series_of
from convbench.report.figures.themes import Theme
from convbench.report.figures.wording import plain, said
from convbench.report.numbers import per_cent

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_Line: TypeAlias = "tuple[Series, NDArray[np.float64]]"
_TICKS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
_SAID = (1, 3, 10, 100)


def rank_pictures(compared: TaskComparison) -> Iterator[Picture]:
    """One, where runs have rankings; entrants that were only shown other evidence rank as their system does and are left out."""
    task = compared.task
    looks, sides = series_of(task), sides_of(task)
    lines: list[_Line] = []
    turns = 0
    for place, entrant in enumerate(task.entrants):
        ranks = sides.ranks[:, place]
        judged = ranks[~np.isnan(ranks)]
        depth = max((len(record.passages) for record in entrant.records.values()), default=0)
        if entrant.role != "condition" and len(judged) and depth:
            lines.append((looks[entrant.label], np.array([np.mean(judged <= rank) for rank in range(1, depth + 1)])))
            turns = max(turns, len(judged))
    if not lines:
        return
    yield Picture(
        name=picture_name(task.id, "ranks"),
        kind="ranks",
        title=f"Rank of the first gold passage, {plain(task.title, 60)}",
        caption=f"Each line is the share of the {turns:,} judged turns whose first gold passage is at that rank or above; a line ends at "
        "the depth of its run, and what it lacks to 100 % was not retrieved.",
        alt=_in_words(lines, turns),
        drawing=partial(_draw, lines),
    )


def _in_words(lines: Sequence[_Line], turns: int) -> str:
    found = []
    for look, shares in lines:
        ranks = [rank for rank in _SAID if rank < len(shares)] + [len(shares)]
        found.append(f"{said(look.label)}: " + ", ".join(f"{per_cent(shares[rank - 1])} within rank {rank}" for rank in ranks))
    return f"Share of {turns:,} judged turns in per cent by rank of the first gold passage. {'; '.join(found)}."


def _draw(lines: Sequence[_Line], theme: Theme) -> Figure:
    names = [look.name for look, _ in lines]
    figure = new_figure(NARROW, 2.4 + legend_height(NARROW, names))
    axes = figure.subplots()
    deepest = max(len(shares) for _, shares in lines)
    for look, shares in lines:
        kept = [place for place in range(len(shares)) if place in (0, len(shares) - 1) or shares[place] != shares[place - 1]]
        ranks = np.array(kept) + 1
        axes.step(ranks, 100 * shares[kept], where="post", color=look.colour(theme), linestyle=look.line)
        marked = [place for place in range(len(shares)) if place + 1 in _TICKS]
        axes.plot(np.array(marked) + 1, 100 * shares[marked], color=look.colour(theme), marker=look.mark, markersize=3, linestyle="none")
    axes.set_xscale("log")
    ticks = [tick for tick in _TICKS if tick <= deepest]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(0.93, max(deepest, 2) * 1.08)
    axes.set_ylim(top=102)
    grid_lines(axes, "both")
    axes.set_xlabel("rank of the first gold passage, at most")
    axes.set_ylabel("turns (%)")
    legend_below(figure, [look.handle(theme, look.line) for look, _ in lines], names)
    return figure
