"""Score by turn depth: a line for each system that competes, with a band for the interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.estimates import Estimate
from convbench.comparison.model import TaskComparison
from convbench.comparison.task import Yardstick
from convbench.report.figures.canvas import NARROW, SMALL, TEXT, WIDE, grid_lines, legend_below, legend_height, new_figure
from convbench.report.figures.picture import Picture, picture_name
from convbench.report.figures.series import Series, series_of
from convbench.report.figures.themes import Theme
from convbench.report.figures.wording import axis_title, in_lines, most_lines, plain, said
from convbench.report.numbers import per_cent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_TOGETHER = 3
"""Bands of more systems than these hide one another, so that each gets a panel of its own."""

_DEPTH = "turn depth, with its turns below"

_A_ROW, _TICKS = 5, 24
"""Panels in a row; depths that can be written beside one another over the whole width."""

_NOTHING = Estimate(None, None, 0, 0)


@dataclass(frozen=True, slots=True)
class _Depth:
    """The turns at one depth."""

    name: str
    turns: int
    small: bool
    systems: Mapping[str, Estimate]

    def of(self, look: Series) -> Estimate:
        """The value of one system."""
        return self.systems.get(look.label, _NOTHING)


def depth_pictures(compared: TaskComparison) -> Iterator[Picture]:
    """One for the declared retrieval measure and one for the declared response measure."""
    task = compared.task
    series = [look for look in series_of(task).values() if not look.role]
    for measure in task.primaries:
        depths = _depths(compared, measure)
        if len(depths) < 2 or not series:
            continue
        yield Picture(
            name=picture_name(task.id, "depth", measure.label),
            kind="depth",
            title=f"{plain(measure.label)} by turn depth, {plain(task.title, 60)}",
            caption="Each line is a system, each band its interval (where systems have panels of their own, the others are faint lines); "
            "marks are hollow and lines dashed where a depth has so few turns that nothing is tested there.",
            alt=_in_words(measure, depths, series),
            drawing=partial(_draw, measure, depths, series),
        )


def _depths(compared: TaskComparison, measure: Yardstick) -> list[_Depth]:
    """The rows of the table of depths in which some system has a value; none where the table does not show the measure."""
    for table in compared.slices:
        if table.name == "depth" and measure.key in table.measures:
            rows = [_Depth(row.value, row.n_turns, row.small, row.systems.get(measure.key, {})) for row in table.rows]
            return [row for row in rows if any(estimate.value is not None for estimate in row.systems.values())]
    return []


def _in_words(measure: Yardstick, depths: Sequence[_Depth], series: Sequence[Series]) -> str:
    found = []
    for look in series:
        values = {depth.name: value for depth in depths if (value := depth.of(look).value) is not None}
        if values:
            first, last = next(iter(values)), list(values)[-1]
            ends = f"{per_cent(values[first])} at depth {plain(first)}, {per_cent(values[last])} at depth {plain(last)}"
            found.append(
                f"{said(look.label)}: {ends}, between {per_cent(min(values.values()))} and {per_cent(max(values.values()))} over all"
            )
    counts = ", ".join(f"{depth.name}: {depth.turns:,}" for depth in depths)
    return f"{plain(measure.label)} in per cent by turn depth. {'; '.join(found)}. Turns at each depth: {counts}."


def _draw(measure: Yardstick, depths: Sequence[_Depth], series: Sequence[Series], theme: Theme) -> Figure:
    together = len(series) <= _TOGETHER
    groups = [series] if together else [[look] for look in series]
    rows = 1 if together else max(-(-len(groups) // _A_ROW), 2)
    columns = -(-len(groups) // rows)
    names = [look.name for look in series]
    figure = (
        new_figure(NARROW, 2.3 + legend_height(NARROW, names))
        if together
        else new_figure(WIDE, 0.45 + (1.3 + 0.12 * most_lines(names)) * rows)
    )
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, group in zip(panels.ravel(), groups, strict=False):
        _context(axes, [look for look in series if look not in group], depths, theme)
        for look in group:
            _line(axes, look, depths, theme)
        grid_lines(axes, "y")
        if not together:
            axes.set_title(in_lines(group[0].name), fontsize=SMALL)
    _depth_axis(panels, len(groups), depths)
    if together:
        legend_below(figure, [look.handle(theme, "-") for look in series], names)
        panels[0, 0].set(xlabel=_DEPTH, ylabel=axis_title(measure))
    else:
        figure.supxlabel(_DEPTH, fontsize=TEXT)
        figure.supylabel(axis_title(measure), fontsize=TEXT)
    return figure


def _depth_axis(panels: NDArray[np.object_], used: int, depths: Sequence[_Depth]) -> None:
    """Depths and their turns under the lowest panel of each column; as many as there is room for."""
    columns = panels.shape[1]
    every = -(-len(depths) * columns // _TICKS)
    ticks = {place: f"{plain(depth.name)}\n{depth.turns:,}" for place, depth in enumerate(depths) if place % every == 0}
    for place, axes in enumerate(panels.ravel()):
        axes.set_visible(place < used)
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.tick_params(axis="x", length=2, labelbottom=place + columns >= used)


def _values(look: Series, depths: Sequence[_Depth]) -> NDArray[np.float64]:
    return np.array([np.nan if (value := depth.of(look).value) is None else 100 * value for depth in depths])


def _context(axes: Axes, others: Sequence[Series], depths: Sequence[_Depth], theme: Theme) -> None:
    """Other systems' lines, faint; drawn as one that has gaps, as pages hold many of them."""
    gap = [np.nan]
    places = np.concatenate([gap, *(np.append(np.arange(len(depths)), gap) for _ in others)])
    values = np.concatenate([gap, *(np.append(_values(look, depths), gap) for look in others)])
    axes.plot(places, values, color=theme.ink, alpha=0.25, linewidth=0.6)


def _line(axes: Axes, look: Series, depths: Sequence[_Depth], theme: Theme) -> None:
    colour, values, places = look.colour(theme), _values(look, depths), np.arange(len(depths))
    intervals = [depth.of(look).interval or (np.nan, np.nan) for depth in depths]
    small = np.array([depth.small for depth in depths])
    axes.fill_between(places, *(100 * np.array(intervals).T), color=colour, alpha=0.2, linewidth=0)
    unsure = small[:-1] | small[1:]
    for chosen, line in ((~unsure, "-"), (unsure, (0, (3, 2)))):
        starts = np.flatnonzero(chosen)
        ends = np.stack([starts, starts + 1, starts], axis=1).ravel()
        drawn = np.where(np.arange(len(ends)) % 3 == 2, np.nan, values[ends])  # a gap after each piece
        axes.plot(places[ends], drawn, color=colour, linestyle=line)
    for hollow in (False, True):
        chosen = small == hollow
        fill = theme.paper if hollow else colour
        axes.plot(places[chosen], values[chosen], linestyle="none", marker=look.mark, color=colour, markerfacecolor=fill)
