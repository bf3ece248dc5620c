"""Pictures of a study: differences from the first arm with their intervals, and the losses of the arms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convbench.io.atomic import atomic_path
from convbench.report.figures.canvas import WIDE, grid_lines, house_style, legend_below, legend_height, new_figure
from convbench.report.figures.themes import LIGHT, Theme
from convbench.report.figures.wording import plain
from convbench.report.numbers import between, points
from convbench.training.log import read_log
from convbench.training.logs import LOG
from convbench.training.loss_curve import curves_of
from convbench.training.study.report import StudyReport
from convbench.training.study.results import Difference, SetResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

Curve = tuple[list[int], "NDArray[np.float64]"]
"""Steps, and the mean over seeds at each."""

_PANELS = 4
"""Measures beside one another in a forest plot."""
_SMOOTHED = 40
"""A mean over one of so many parts of a curve is drawn."""
_LINES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)), (0, (9, 2)))
_METADATA = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


@dataclass(frozen=True, slots=True)
class StudyPicture:
    """A picture.

    Attributes:
        name: Of its files.
        set_name: Its test set; empty where it is of none.
        title: A heading.
        caption: How to read it.
        alt: What it shows, for those who do not see it.
        drawing: Draws it.
    """

    name: str
    set_name: str
    title: str
    caption: str
    alt: str
    drawing: Callable[[Theme], Figure]


def pictures_of(report: StudyReport) -> list[StudyPicture]:
    """A forest plot for each test set with differences, and one picture of the losses where anything was trained."""
    found = [_forest(each, report) for each in report.sets if each.differences]
    losses = loss_curves(report)
    if losses:
        arms = {arm: None for curves in losses.values() for arm in curves}
        found.append(
            StudyPicture(
                "losses",
                "",
                "Losses",
                "Training losses before they are weighted, as means over seeds and over neighbouring steps.",
                f"Losses of {', '.join(arms)} over steps: {', '.join(losses)}.",
                partial(_draw_losses, losses, list(arms)),
            )
        )
    return found


def save_study_pictures(pictures: Sequence[StudyPicture], folder: Path) -> list[Path]:
    """Writes each picture as ``NAME.svg`` and ``NAME.png`` (300 dpi). The same pictures give the same bytes, with the same matplotlib.

    Raises:
        StorageError: The disk is full or the folder cannot be written to.
    """
    written = []
    for picture in pictures:
        with house_style(LIGHT):
            figure = picture.drawing(LIGHT)
            for kind, metadata in _METADATA.items():
                path = folder / f"{picture.name}.{kind}"
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, format=kind, metadata=metadata)
                written.append(path)
    return written


def _forest(results: SetResults, report: StudyReport) -> StudyPicture:
    told = [
        f"{row.first.arm}, {row.measure}: {points(row.result.mean)} {between(row.result.interval)}"
        for row in results.differences
        if row.result.mean is not None
    ]
    first = next(iter(report.study.arms))
    return StudyPicture(
        f"{results.scores.name}-differences",
        results.scores.name,
        f"Differences from {first}, {results.scores.name}",
        "Thick marks are means over seeds with intervals that resample conversations, filled where the interval leaves 0 out; "
        "small marks are single seeds. ↓: lower is better.",
        f"Differences from {first} in points. {'; '.join(told)}.",
        partial(_draw_forest, results, list(report.study.arms)[1:], list(dict.fromkeys(row.measure for row in results.differences))),
    )


def _draw_forest(results: SetResults, arms: Sequence[str], measures: Sequence[str], theme: Theme) -> Figure:
    rows = -(-len(measures) // _PANELS)
    columns = -(-len(measures) // rows)
    figure = new_figure(WIDE, rows * (0.75 + 0.24 * len(arms)))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    by_place = {(row.measure, row.first.arm): row for row in results.differences}
    for panel, measure in zip(panels, measures, strict=False):
        for place, arm in enumerate(arms):
            if row := by_place.get((measure, arm)):
                _draw_row(panel, place, row, theme)
        panel.axvline(0, color=theme.ink, linewidth=0.8)
        panel.set_yticks(range(len(arms)), [plain(arm) for arm in arms])
        panel.set_ylim(len(arms) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_visible(False)
        grid_lines(panel, "x")
        panel.set_title(plain(measure) + ("" if results.scores.measures[measure].higher_is_better else " ↓"))
        panel.set_xlabel("points")
    for panel in panels[len(measures) :]:
        panel.set_visible(False)
    return figure


def _draw_row(axes: Axes, place: int, row: Difference, theme: Theme) -> None:
    colour, interval = theme.series[0], row.result.interval
    seeds = [100 * value for value in row.by_seed.values() if value is not None]
    axes.plot(seeds, [place + 0.25] * len(seeds), color=theme.ink, marker="|", markersize=4, linestyle="none", alpha=0.6)
    if row.result.mean is None:
        return
    apart = interval is not None and not interval[0] <= 0 <= interval[1]
    if interval is not None:
        axes.plot([100 * end for end in interval], [place, place], color=colour, linewidth=1.4)
    axes.plot(100 * row.result.mean, place, color=colour, marker="o", markerfacecolor=colour if apart else theme.paper)


def loss_curves(report: StudyReport) -> dict[str, dict[str, Curve]]:
    """Objective -> arm -> its loss, mean over the seeds that made a step."""
    found: dict[str, dict[str, Curve]] = {}
    for arm in report.study.arms:
        for name, by_seed in _logged(report, arm).items():
            if name != "total":  # of other objectives, and other weights, in each arm
                values: dict[int, list[float]] = {}
                for steps, losses in by_seed:
                    for step, loss in zip(steps, losses, strict=True):
                        values.setdefault(step, []).append(loss)
                found.setdefault(name, {})[arm] = (sorted(values), np.array([np.mean(values[step]) for step in sorted(values)]))
    return found


def _logged(report: StudyReport, arm: str) -> Mapping[str, list[tuple[list[int], list[float]]]]:
    """Objective -> steps and losses of every finished seed."""
    found: dict[str, list[tuple[list[int], list[float]]]] = {}
    for cell in report.cells:
        log = cell.folder(report.out) / LOG
        if cell.arm == arm and log.exists():
            for name, curve in curves_of(read_log(log))[0].items():
                found.setdefault(name, []).append(curve)
    return found


def _draw_losses(losses: Mapping[str, Mapping[str, Curve]], arms: Sequence[str], theme: Theme) -> Figure:
    from matplotlib.lines import Line2D

    names = [plain(arm) for arm in arms]
    figure = new_figure(WIDE, 2.3 + legend_height(WIDE, names))
    looks = {arm: (theme.series[place % len(theme.series)], _LINES[place % len(_LINES)]) for place, arm in enumerate(arms)}
    for panel, (objective, curves) in zip(figure.subplots(1, len(losses), squeeze=False)[0], losses.items(), strict=True):
        for arm, (steps, values) in curves.items():
            colour, line = looks[arm]
            panel.plot(*_smoothed(steps, values), color=colour, linestyle=line, marker="" if len(steps) > 1 else "o")
        panel.set_title(plain(objective))
        panel.set_xlabel("step")
        panel.locator_params(axis="x", integer=True)
        grid_lines(panel, "y")
    handles = [Line2D([], [], color=colour, linestyle=line) for colour, line in looks.values()]  # type: ignore[arg-type]
    legend_below(figure, handles, names)
    return figure


def _smoothed(steps: Sequence[int], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means over windows that do not overlap."""
    parts = np.array_split(np.arange(len(steps)), min(len(steps), _SMOOTHED))
    at = np.asarray(steps, dtype=np.float64)
    return np.array([at[part].mean() for part in parts]), np.array([values[part].mean() for part in parts])
