"""Cost against quality: a declared measure against time, parameters and index size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, floor, log10
from typing import TYPE_CHECKING

from convbench.comparison.model import TaskComparison
from convbench.comparison.task import Entrant, Yardstick
from convbench.harness.results import Cost
from convbench.report.figures.canvas import WIDE, grid_lines, legend_below, legend_height, new_figure
from convbench.report.figures.picture import Picture, picture_name
from convbench.report.figures.point_labels import label_points
from convbench.report.figures.series import Series, series_of
from convbench.report.figures.themes import Theme
from convbench.report.figures.wording import axis_title, plain, said
from convbench.report.numbers import per_cent
from convbench.report.words import magnitude

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class _Unit:
    """One kind of cost: what it is called, how it is read off, a value in words, a tick."""

    title: str
    of: Callable[[Cost], float]
    words: Callable[[float], str]
    tick: Callable[[float], str]


_UNITS = (
    _Unit("ms per turn", lambda cost: sum(phase.ms_per_turn or 0.0 for phase in cost.phases), "{:,.3g} ms".format, "{:,g}".format),
    _Unit(
        "parameters", lambda cost: cost.parameters, lambda value: f"{magnitude(int(value))} parameters", lambda value: magnitude(int(value))
    ),
    _Unit("index (MiB)", lambda cost: cost.index_bytes / 2**20, "{:,.3g} MiB of index".format, "{:,g}".format),
)


@dataclass(frozen=True, slots=True)
class _Point:
    """One system: its value, its interval, and its costs in the order of the units."""

    look: Series
    value: float
    interval: tuple[float, float] | None
    costs: tuple[float, ...]


def cost_pictures(compared: TaskComparison) -> Iterator[Picture]:
    """One for the declared retrieval measure and one for the declared response measure."""
    task = compared.task
    looks = series_of(task)
    known = [entrant for entrant in task.entrants if entrant.competes and entrant.run.results.system["kind"] != "replay"]
    for measured in compared.measured:
        if measured.measure not in task.primaries:
            continue
        points = []
        for entrant in known:
            estimate, cost = measured.systems[entrant.label].estimate, entrant.run.results.cost
            if estimate.value is not None:
                points.append(_Point(looks[entrant.label], estimate.value, estimate.interval, tuple(unit.of(cost) for unit in _UNITS)))
        units = [place for place in range(len(_UNITS)) if any(point.costs[place] for point in points)]
        if len(points) < 2 or not units:
            continue
        yield Picture(
            name=picture_name(task.id, "cost", measured.measure.label),
            kind="cost",
            title=f"{plain(measured.measure.label)} against cost, {plain(task.title, 60)}",
            caption="Each mark is a system with its interval; costs are on a logarithmic scale, at whose left end stands what costs nothing"
            f"{_machines(known)}.",
            alt=_in_words(measured.measure, points),
            drawing=partial(_draw, measured.measure, points, units),
        )


def _machines(entrants: Sequence[Entrant]) -> str:
    """What to say where times do not come from one machine."""
    machines = {environment.model_dump_json() for entrant in entrants if (environment := entrant.run.results.cost.environment)}
    return "; times were taken on different machines, so compare them only roughly" if len(machines) > 1 else ""


def _in_words(measure: Yardstick, points: Sequence[_Point]) -> str:
    found = []
    for point in points:
        costs = ", ".join(unit.words(cost) for unit, cost in zip(_UNITS, point.costs, strict=True))
        found.append(f"{said(point.look.label)}: {per_cent(point.value)} for {costs}")
    return f"{plain(measure.label)} in per cent against cost. {'; '.join(found)}."


def _draw(measure: Yardstick, points: Sequence[_Point], units: Sequence[int], theme: Theme) -> Figure:
    names = [point.look.name for point in points]
    figure = new_figure(WIDE, 2.3 + legend_height(WIDE, names))
    panels = figure.subplots(1, len(units), sharey=True, squeeze=False)[0]
    places = [_panel(axes, _UNITS[unit], unit, points, theme) for axes, unit in zip(panels, units, strict=True)]
    panels[0].set_ylabel(axis_title(measure))
    legend_below(figure, [point.look.handle(theme) for point in points], names)
    figure.draw_without_rendering()  # labels need to know where points come to lie
    for axes, xs in zip(panels, places, strict=True):
        label_points(axes, [(x, 100 * point.value) for x, point in zip(xs, points, strict=True)], names)
    return figure


def _panel(axes: Axes, unit: _Unit, place: int, points: Sequence[_Point], theme: Theme) -> list[float]:
    """Draws one panel; returns where points lie on its axis, in powers of ten."""
    costs = [point.costs[place] for point in points]
    powers = [log10(cost) for cost in costs if cost > 0]
    low, high = floor(min(powers)), ceil(max(powers))
    if high == low:
        high += 1
    none = low - max(0.6, 0.25 * (high - low))  # where a cost of 0 stands, which a logarithm has no place for
    places = [log10(cost) if cost > 0 else none for cost in costs]
    for x, point in zip(places, points, strict=True):
        colour = point.look.colour(theme)
        if point.interval:
            axes.plot([x, x], [100 * end for end in point.interval], color=colour, linewidth=0.8, alpha=0.6)
        axes.plot(x, 100 * point.value, color=colour, marker=point.look.mark, markersize=5.5)
    step = ceil((high - low) / 4)
    ticks = {float(power): unit.tick(10.0**power) for power in range(low, high + 1, step)}
    if min(costs) <= 0:
        ticks[none] = "0"
        axes.axvline((none + low) / 2, color=theme.ink, linewidth=0.6, alpha=0.5, linestyle=(0, (2, 2)))
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlim((none if min(costs) <= 0 else low) - 0.12 * (high - low), high + 0.12 * (high - low))
    axes.set_xlabel(unit.title)
    grid_lines(axes, "y")
    return places
