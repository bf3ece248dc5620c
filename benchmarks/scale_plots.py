"""Pictures of what ``scale.py`` measured: memory, disk and time over the size of the collection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING

from scale_checks import Measurement, series

from convbench.report.figures.canvas import WIDE, grid_lines, legend_below, legend_height, new_figure
from convbench.report.figures.picture import Picture
from convbench.report.figures.svg import standalone_svg
from convbench.report.figures.themes import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")

Value = Callable[[Measurement], float]


def pictures(measurements: Sequence[Measurement]) -> dict[str, str]:
    """File name -> SVG. The same measurements give the same bytes, with the same matplotlib, which a comment at the end names."""
    import matplotlib

    drawn, shown = {}, {name: found for name, found in series(measurements) if found[0]["step"] != "approximate"}  # at one size only
    for name, title, unit, value, log in KINDS:
        curves = {each: points for each, found in shown.items() if (points := _points(found, value))}
        told = "; ".join(f"{each}: " + ", ".join(f"{size:,} {height:.3g}" for size, height, _ in points) for each, points in curves.items())
        picture = Picture(
            f"scale-{name}", "cost", title, title, f"{title}, {unit}. {told}.", partial(_draw, curves, list(shown), title, unit, log)
        )
        svg = standalone_svg(picture, picture.draw(LIGHT), LIGHT)
        drawn[f"{name}.svg"] = f"{svg}<!-- matplotlib {matplotlib.__version__} -->\n"
    return drawn


def _points(found: Sequence[Measurement], value: Value) -> list[tuple[int, float, bool]]:
    """Sizes, values where there are any, and whether the step's buffers were filled."""
    return [(each["passages"], value(each), each["fills_buffers"]) for each in found if value(each) > 0]


def _draw(curves: dict[str, list[tuple[int, float, bool]]], every: list[str], title: str, unit: str, log: bool, theme: Theme) -> Figure:
    from matplotlib.lines import Line2D

    figure = new_figure(WIDE, 2.9 + legend_height(WIDE, list(curves)))
    axes = figure.subplots()
    axes.set_xscale("log")
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    handles, looks = [], dict(zip(every, zip(cycle(theme.series), cycle(_LINES), cycle(_MARKS), strict=False), strict=False))
    for name, points in curves.items():
        colour, line, mark = looks[name]
        sizes, heights, filled = zip(*points, strict=True)
        axes.plot(sizes, heights, color=colour, linestyle=line)
        for size, height, is_filled in zip(sizes, heights, filled, strict=True):
            axes.plot(size, height, color=colour, marker=mark, markerfacecolor=colour if is_filled else theme.paper)
        handles.append(Line2D([], [], color=colour, linestyle=line, marker=mark))  # type: ignore[arg-type]
    sizes = sorted({size for points in curves.values() for size, _, _ in points})
    axes.set_xticks(sizes, [f"{size / 1e6:g}" for size in sizes], minor=False)
    axes.set_xticks([], minor=True)
    if not log:
        axes.set_ylim(bottom=0)
    axes.set_xlabel("million passages")
    axes.set_ylabel(unit)
    axes.set_title(title)
    grid_lines(axes, "y")
    legend_below(figure, handles, list(curves))
    return figure


KINDS: tuple[tuple[str, str, str, Value, bool], ...] = (
    ("memory", "Most anonymous memory of each step", "MiB", lambda each: each["memory"]["anonymous_peak"] / 2**20, False),
    ("disk", "What each step leaves on disk", "MB", lambda each: each["disk_bytes"] / 1e6, True),
    ("time", "Time of each step on one core", "seconds", lambda each: each["seconds"] if each["step"] != "look-up" else 0, True),
)
