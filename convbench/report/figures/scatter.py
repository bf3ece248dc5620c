"""Two systems turn by turn: a bubble for each pair of values, its area the number of turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.paired import EQUAL
from convbench.comparison.model import TaskComparison
from convbench.comparison.task import Task, Yardstick
from convbench.report.figures.canvas import NARROW, SMALL, new_figure
from convbench.report.figures.picture import Picture, picture_name
from convbench.report.figures.series import series_of
from convbench.report.figures.themes import Theme
from convbench.report.figures.wording import axis_title, plain, said

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_MOST = 200
"""With more distinct pairs of values, turns are counted in squares."""

_SQUARES = 20
_LARGEST = 0.055
"""Radius of the largest bubble, as a share of the axis."""

_SMALLEST = 4.0
"""Area of the smallest, in square points: one turn can be seen, even beside a thousand."""


@dataclass(frozen=True, slots=True, eq=False)
class _Turns:
    """What is drawn.

    Attributes:
        first: Label of the system on the horizontal axis.
        second: Label of the system on the vertical axis.
        points: Distinct (first, second) values, in per cent; shape (points, 2).
        counts: Turns of each point.
        higher: Turns on which the first, neither, the second has the higher value.
        squares: Whether points are centres of squares.
    """

    first: str
    second: str
    points: NDArray[np.float64]
    counts: NDArray[np.intp]
    higher: tuple[int, int, int]
    squares: bool


def scatter_pictures(compared: TaskComparison) -> Iterator[Picture]:
    """One for the declared retrieval measure and one for the declared response measure: the baseline against the best, or the first two."""
    task = compared.task
    names = {label: look.name for label, look in series_of(task).items()}
    for measure in task.primaries:
        pair = _pair(task, measure, compared.baseline)
        turns = _turns(task, measure, pair) if pair else None
        if turns is None:
            continue
        first, ties, second = turns.higher
        yield Picture(
            name=picture_name(task.id, "scatter", measure.label),
            kind="scatter",
            title=f"{plain(measure.label)} turn by turn: {said(turns.first)} and {said(turns.second)}, {plain(task.title, 60)}",
            caption=f"The larger a bubble, the more turns have {'about ' if turns.squares else ''}these two values "
            f"({turns.counts.max():,} at the largest): {second:,} lie above the diagonal ({said(turns.second)} is higher), {ties:,} on it, "
            f"{first:,} below it ({said(turns.first)} is higher).",
            alt=f"{plain(measure.label)} of each of {sum(turns.higher):,} turns under two systems. "
            f"{said(turns.second)} is higher on {second:,}, {said(turns.first)} on {first:,}, both are equal on {ties:,}.",
            drawing=partial(_draw, measure, turns, (names[turns.first], names[turns.second])),
        )


def _pair(task: Task, measure: Yardstick, baseline: str | None) -> tuple[int, int] | None:
    """Places of the two systems."""
    labels = [entrant.label for entrant in task.entrants]
    competitors = [place for place in task.competitors if labels[place] != baseline]
    if baseline is None:
        return (competitors[0], competitors[1]) if len(competitors) > 1 else None
    values = task.values[measure.key]
    valued = [place for place in competitors if not np.isnan(values[:, place]).all()]
    if not valued:
        return None
    sign = 1 if measure.higher_is_better else -1
    return labels.index(baseline), max(valued, key=lambda place: float(sign * np.nanmean(values[:, place])))


def _turns(task: Task, measure: Yardstick, pair: tuple[int, int]) -> _Turns | None:
    values = 100 * task.values[measure.key][:, list(pair)]
    values = values[~np.isnan(values).any(axis=1)]
    if not len(values):
        return None
    differences = values[:, 0] - values[:, 1]
    higher, lower = int((differences > 100 * EQUAL).sum()), int((differences < -100 * EQUAL).sum())
    points, counts = np.unique(values.round(6), axis=0, return_counts=True)
    squares = len(points) > _MOST
    if squares:
        low, width = values.min(), max(np.ptp(values), 1e-9) / _SQUARES
        cells = np.minimum(np.floor((values - low) / width), _SQUARES - 1)
        points, counts = np.unique(low + (cells + 0.5) * width, axis=0, return_counts=True)
    first, second = (task.entrants[place].label for place in pair)
    return _Turns(first, second, points, counts, (higher, len(values) - higher - lower, lower), squares)


def _draw(measure: Yardstick, turns: _Turns, names: tuple[str, str], theme: Theme) -> Figure:
    figure = new_figure(NARROW, NARROW)
    axes = figure.subplots()
    low, high = min(turns.points.min(), 0.0), max(turns.points.max(), 1.0)
    margin = 1.25 * _LARGEST * (high - low)
    inches = 0.8 * NARROW  # of the axes, roughly
    largest = (2 * _LARGEST * inches * 72) ** 2
    axes.axline((low, low), (high, high), color=theme.ink, linewidth=0.8, linestyle=(0, (4, 2)))
    sizes = np.maximum(largest * turns.counts / turns.counts.max(), _SMALLEST)
    axes.scatter(
        turns.points[:, 0],
        turns.points[:, 1],
        s=sizes,
        color=theme.series[0],
        edgecolor=theme.paper,
        linewidth=0.4,
        zorder=2,
        clip_on=False,
    )
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
    axes.set_xlabel(f"{names[0]}\n{axis_title(measure)}", fontsize=SMALL)
    axes.set_ylabel(f"{names[1]}\n{axis_title(measure)}", fontsize=SMALL)
    first, ties, second = turns.higher
    axes.set_title(f"above {second:,} · on the diagonal {ties:,} · below {first:,}", fontsize=SMALL)
    return figure
