"""Ladders: one system under several conditions, of the evidence that it is shown and of the history that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from convbench.analysis.estimates import Estimate
from convbench.comparison.model import TaskComparison
from convbench.report.figures.canvas import NARROW, SMALL, WIDE, grid_lines, new_figure
from convbench.report.figures.picture import Picture, picture_name
from convbench.report.figures.themes import Theme
from convbench.report.figures.wording import axis_title, plain, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class _Panel:
    """One system under one measure; place: of its colour, by the side that is scored."""

    system: str
    measure: str
    place: int
    rungs: tuple[tuple[str, Estimate], ...]


def ladder_pictures(compared: TaskComparison) -> Iterator[Picture]:
    """One for the evidence ladders, one for the history ladders."""
    consistency, task = compared.consistency, compared.task
    responses, rankings = consistency.response_measure, consistency.retrieval_measure
    if responses is not None and consistency.evidence:
        title = axis_title(task.measure(responses))
        panels = [_panel(ladder.name, title, 0, [(rung, value) for rung, _, value in ladder.rungs]) for ladder in consistency.evidence]
        caption = "Each bar is one system's response quality when it is shown that evidence, with its interval."
        yield from _picture(compared, "evidence", caption, panels)
    panels = []
    for ladder in consistency.history:
        retrieved = [(rung.condition, rung.retrieval) for rung in ladder.rungs]
        responded = [(rung.condition, rung.response) for rung in ladder.rungs]
        for key, place, values in ((rankings, 1, retrieved), (responses, 0, responded)):
            if key is not None:
                panels.append(_panel(ladder.name, axis_title(task.measure(key)), place, values))
    yield from _picture(
        compared, "history", "Each bar is one system's value when it reads that much of the history, with its interval.", panels
    )


def _panel(system: str, measure: str, place: int, rungs: Sequence[tuple[str, Estimate | None]]) -> _Panel:
    known = tuple((plain(rung), value) for rung, value in rungs if value is not None and value.value is not None)
    return _Panel(plain(system), measure, place, known)


def _picture(compared: TaskComparison, ladder: str, caption: str, panels: Sequence[_Panel]) -> Iterator[Picture]:
    shown = [panel for panel in panels if len(panel.rungs) > 1]
    if not shown:
        return
    said = [
        f"{panel.system}, {panel.measure}: " + ", ".join(f"{rung} {with_interval(value)}" for rung, value in panel.rungs) for panel in shown
    ]
    title = f"{ladder.capitalize()} ladder, {plain(compared.task.title, 60)}"
    yield Picture(
        name=picture_name(compared.task.id, "ladder", ladder),
        kind="ladder",
        title=title,
        caption=caption,
        alt=f"{title}. {'; '.join(said)}.",
        drawing=partial(_draw, shown),
    )


def _draw(panels: Sequence[_Panel], theme: Theme) -> Figure:
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    tallest = max(len(panel.rungs) for panel in panels)
    figure = new_figure(NARROW if columns == 1 else WIDE, rows * (0.75 + 0.21 * tallest))
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _bars(axes, panel, theme)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return figure


def _bars(axes: Axes, panel: _Panel, theme: Theme) -> None:
    values = [100 * (estimate.value or 0.0) for _, estimate in panel.rungs]
    ends = [
        [100 * end for end in estimate.interval] if estimate.interval else [value] * 2
        for (_, estimate), value in zip(panel.rungs, values, strict=True)
    ]
    errors = [
        [max(value - low, 0) for value, (low, _) in zip(values, ends, strict=True)],
        [max(high - value, 0) for value, (_, high) in zip(values, ends, strict=True)],
    ]
    places = range(len(values))
    colour = theme.series[panel.place]
    axes.barh(places, values, height=0.62, facecolor=(colour, 0.35), edgecolor=colour, linewidth=0.8)
    axes.errorbar(values, places, xerr=errors, fmt="none", color=theme.ink, ecolor=theme.ink, elinewidth=1, capsize=2)
    for place, value, (_, high) in zip(places, values, ends, strict=True):
        axes.annotate(f"{value:.1f}", (max(high, value), place), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, [rung for rung, _ in panel.rungs])
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.18)
    grid_lines(axes, "x")
    axes.set_title(panel.system, fontsize=SMALL)
    axes.set_xlabel(panel.measure, fontsize=SMALL)
