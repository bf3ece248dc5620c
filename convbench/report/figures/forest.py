"""Forest plots: differences of pairs of systems with their intervals, and what could have been detected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from convbench.comparison.model import Measured, TaskComparison
from convbench.comparison.task import Yardstick
from convbench.report.comparison.standing import standing
from convbench.report.figures.canvas import WIDE, grid_lines, new_figure
from convbench.report.figures.picture import Picture, picture_name
from convbench.report.figures.series import series_of
from convbench.report.figures.themes import Theme
from convbench.report.figures.wording import plain, said
from convbench.report.numbers import per_cent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_A_LINE = 50
"""Characters of a pair that leave room for the plot; longer ones take two lines."""

_MANY = 12
"""With more pairs only neighbours by rank, and the best against each, are drawn."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One pair, in fractions."""

    first: str
    second: str
    mean: float
    interval: tuple[float, float]
    detectable: float
    adjusted: float | None
    significant: bool

    def turned(self) -> _Row:
        """The same, seen from the other system."""
        low, high = self.interval
        return _Row(self.second, self.first, -self.mean, (-high, -low), self.detectable, self.adjusted, self.significant)


def forest_pictures(compared: TaskComparison) -> Iterator[Picture]:
    """One for each declared measure."""
    task = compared.task
    names = {label: look.name for label, look in series_of(task).items()}
    for measured in compared.measured:
        if not measured.measure.declared:
            continue
        order = [label for label, _ in standing(compared, measured)]
        rows, left_out = _rows(measured, compared.baseline, order)
        if not rows:
            continue
        chosen = f" Of {len(rows) + left_out} pairs, neighbours by rank and the best against each are shown." if left_out else ""
        yield Picture(
            name=picture_name(task.id, "forest", measured.measure.label),
            kind="forest",
            title=f"Differences in {plain(measured.measure.label)}, {plain(task.title, 60)}",
            caption="Each mark is the first system minus the second with its interval, filled where the difference is significant after "
            f"correction; differences within the shaded band were too small to be found reliably with these turns.{chosen}",
            alt=_in_words(measured.measure, rows) + chosen,
            drawing=partial(_draw, measured.measure, rows, names),
        )


def _rows(measured: Measured, baseline: str | None, order: Sequence[str]) -> tuple[list[_Row], int]:
    """The pairs that are drawn, largest difference first, and how many are not; ``order`` has the systems, best first."""
    rows = []
    for contrast in measured.contrasts:
        result = contrast.result
        if result.mean is not None and result.interval is not None:
            detectable = result.detectable or 0.0
            rows.append(
                _Row(contrast.first, contrast.second, result.mean, result.interval, detectable, contrast.adjusted, bool(contrast.better))
            )
    if baseline is not None:
        return sorted(rows, key=lambda row: -row.mean), 0
    rows = [row if row.mean >= 0 else row.turned() for row in rows]
    drawn = rows if len(rows) <= _MANY else [row for row in rows if _tells(row, order)]
    return sorted(drawn, key=lambda row: -row.mean), len(rows) - len(drawn)


def _tells(row: _Row, order: Sequence[str]) -> bool:
    """Whether a pair is among the few that are drawn of many: neighbours, and the best against each."""
    low, high = sorted((order.index(row.first), order.index(row.second)))
    return low == 0 or high - low == 1


def _in_words(measure: Yardstick, rows: Sequence[_Row]) -> str:
    found = []
    for row in rows:
        low, high = row.interval
        p = "" if row.adjusted is None else f", corrected p {row.adjusted:.2g}"
        verdict = "significant" if row.significant else "not significant"
        pair = f"{said(row.first)} minus {said(row.second)}"
        found.append(f"{pair}: {per_cent(row.mean)} ({per_cent(low)} to {per_cent(high)}){p}, {verdict}")
    return f"Differences in {plain(measure.label)} in per cent. {'; '.join(found)}."


def _draw(measure: Yardstick, rows: Sequence[_Row], names: Mapping[str, str], theme: Theme) -> Figure:
    labels = [f"{names[row.first]} − {names[row.second]}" for row in rows]
    height = 0.2
    if max(map(len, labels)) > _A_LINE:
        labels, height = [f"{names[row.first]}\n− {names[row.second]}" for row in rows], 0.3
    figure = new_figure(WIDE, 0.75 + height * len(rows))
    axes = figure.subplots()
    colour = theme.series[0]
    for place, row in enumerate(rows):
        axes.barh(place, 200 * row.detectable, left=-100 * row.detectable, height=0.84, color=theme.ink, alpha=0.08, linewidth=0)
        axes.plot([100 * end for end in row.interval], [place, place], color=colour, linewidth=1.4 if row.significant else 0.9)
        axes.plot(100 * row.mean, place, color=colour, marker="o", markerfacecolor=colour if row.significant else theme.paper)
    axes.axvline(0, color=theme.ink, linewidth=0.8)
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    grid_lines(axes, "x")
    direction = "" if measure.higher_is_better else "; below 0 the first is better"
    axes.set_xlabel(f"difference in {plain(measure.label)} (percentage points{direction})")
    return figure
