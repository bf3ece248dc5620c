"""Small line charts: coordinates for the template that draws them as SVG in the page's own colours.

They are drawn here, and not by matplotlib, as the bytes of a build must not hang on its version, and the pages allow no inline styles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 44
_STEPS = (1, 2, 5, 10, 20, 25, 50)
_MOST_TICKS = 6
_MOST_LABELS = 16
_SHORT = 5


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, in units of the drawing, with what stands there in one or two lines, and which end of it stands at the place."""

    at: float
    label: str
    below: str = ""
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Mark:
    """A point, with what it says when pointed at."""

    x: float
    y: float
    says: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as the template draws it; all numbers are units of the drawing.

    Attributes:
        id: Unique on the page.
        title: What it shows.
        words: The same in words and numbers, for those who do not see it.
        width: Of the drawing.
        height: Of the drawing.
        left: Where the axes begin.
        right: Where they end.
        bottom: Where the horizontal one lies.
        across: Ticks of the horizontal axis.
        up: Ticks of the vertical axis.
        line: The points of the main line; numbers that are made here, and not to be cut as texts are.
        others: Points of lines for comparison, likewise.
        marks: Points.
    """

    id: str
    title: str
    words: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    line: Markup
    others: tuple[Markup, ...]
    marks: tuple[Mark, ...]
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT
    bottom: int = _HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class Point:
    """What is to be drawn.

    Attributes:
        x: On the horizontal axis.
        y: In per cent.
        says: What it says when pointed at.
    """

    x: float
    y: float
    says: str = ""


def chart_of(
    id_: str,
    title: str,
    words: str,
    labels: Sequence[tuple[float, str, str]],
    line: Sequence[Point],
    *,
    others: Sequence[Sequence[Point]] = (),
    marks: Sequence[Point] | None = None,
) -> Chart:
    """Arranges a chart.

    Args:
        id_: Unique on the page.
        title: What it shows.
        words: The same for those who do not see it.
        labels: (x, text, second line) of the horizontal axis.
        line: The main line, which has at least one point.
        others: Faint lines for comparison.
        marks: Points that are marked; None: those of the main line.
    """
    shown = line if marks is None else marks
    everything = [*line, *shown, *(point for other in others for point in other)]
    ends = [point.x for point in everything] + [x for x, _, _ in labels]
    first, last = min(ends), max(ends)
    ticks = nice_ticks(min(point.y for point in everything), max(point.y for point in everything))

    def across(x: float) -> float:
        share = (x - first) / (last - first) if last > first else 0.5
        return round(_LEFT + 14 + share * (_WIDTH - _RIGHT - _LEFT - 28), 1)

    def up(y: float) -> float:
        return round(_HEIGHT - _BOTTOM - (y - ticks[0]) / (ticks[-1] - ticks[0]) * (_HEIGHT - _BOTTOM - _TOP), 1)

    def points(of: Sequence[Point]) -> Markup:
        return Markup(" ".join(f"{across(point.x)},{up(point.y)}" for point in of))  # noqa: S704 - nothing but numbers

    every = -(-len(labels) // _MOST_LABELS)
    return Chart(
        id_,
        title,
        words,
        tuple(Tick(across(x), label, below, _anchor(x, first, last, label)) for x, label, below in labels[:: max(every, 1)]),
        tuple(Tick(up(value), f"{value:g}") for value in ticks),
        points(line),
        tuple(points(other) for other in others),
        tuple(Mark(across(point.x), up(point.y), point.says) for point in shown),
    )


def _anchor(x: float, first: float, last: float, label: str) -> str:
    """A long label at an end would stick out of the drawing."""
    if len(label) <= _SHORT or first == last:
        return "middle"
    return "start" if x == first else "end" if x == last else "middle"


def nice_ticks(low: float, high: float) -> list[float]:
    """Round values, evenly spaced, the first at most ``low`` and the last at least ``high``; at least two."""
    step = next((step for step in _STEPS if (high - low) / step <= _MOST_TICKS - 2), None)
    if step is None:
        step = 10 ** math.ceil(math.log10((high - low) / (_MOST_TICKS - 2)))
    start = math.floor(low / step) * step
    end = max(math.ceil(high / step) * step, start + step)
    return [start + number * step for number in range(round((end - start) / step) + 1)]
