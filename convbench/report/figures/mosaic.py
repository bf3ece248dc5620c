"""Mosaics of the 2×2: was the gold passage retrieved, and was the response good? Areas are shares of turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from convbench.analysis.outcomes import OUTCOMES
from convbench.comparison.consistency_model import Consistency, Outcomes
from convbench.comparison.model import TaskComparison
from convbench.report.figures.canvas import NARROW, SMALL, WIDE, new_figure
from convbench.report.figures.picture import Picture, picture_name
from convbench.report.figures.series import series_of
from convbench.report.figures.themes import Theme
from convbench.report.figures.wording import in_lines, most_lines, plain, said
from convbench.report.numbers import per_cent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS, _HATCHES = (2, 1, 0, 7), ("", "////", "\\\\\\\\", "xxxx")
_A_ROW = 5
_FITS = 0.17
"""Cells that are narrower, or lower than two thirds of it, have their number beside them; as a share of the side."""


def mosaic_pictures(compared: TaskComparison) -> Iterator[Picture]:
    """One with a mosaic for each entrant that has both sides."""
    task, consistency = compared.task, compared.consistency
    outcomes = [outcome for outcome in consistency.outcomes if sum(outcome.counts)]
    if not outcomes or consistency.response_measure is None:
        return
    looks = series_of(task)
    panels = [(looks[outcome.label].name, outcome.counts) for outcome in outcomes]
    measure = plain(task.measure(consistency.response_measure).label)
    yield Picture(
        name=picture_name(task.id, "mosaic"),
        kind="mosaic",
        title=f"Retrieval hits and good responses, {plain(task.title, 60)}",
        caption="Each square is all turns of a system: the left column those with a gold passage among the first "
        f"{consistency.hit_depth}, the lower part of each column those whose response is good ({measure} of at least "
        f"{per_cent(consistency.good)} %); numbers are turns.",
        alt=_in_words(outcomes, consistency),
        drawing=partial(_draw, panels),
    )


def _in_words(outcomes: Sequence[Outcomes], consistency: Consistency) -> str:
    found = []
    for outcome in outcomes:
        cells = zip(OUTCOMES, outcome.counts, outcome.shares, strict=True)
        words = [f"{cell} {count:,} turns ({per_cent(share.value or 0.0)} %)" for cell, count, share in cells]
        found.append(f"{said(outcome.label)}: {', '.join(words)}")
    return f"Gold passage among the first {consistency.hit_depth} against good responses. {'; '.join(found)}."


def _draw(panels: Sequence[tuple[str, tuple[int, int, int, int]]], theme: Theme) -> Figure:
    rows = -(-len(panels) // _A_ROW)
    columns = -(-len(panels) // rows)
    width = NARROW if columns < 3 else WIDE
    figure = new_figure(width, 0.3 + (0.38 + 0.12 * most_lines(name for name, _ in panels) + min(width / columns / 1.45, 1.3)) * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, counts) in zip(grid, panels, strict=False):
        axes.set_title(in_lines(name), fontsize=SMALL, loc="center")
        _mosaic(axes, counts, theme)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.legend(
        handles=[_swatch(cell, theme) for cell in range(4)],
        labels=list(OUTCOMES),
        loc="outside lower center",
        ncols=4 if width == WIDE else 2,
    )
    return figure


def _mosaic(axes: Axes, counts: tuple[int, int, int, int], theme: Theme) -> None:
    axes.set(xlim=(-0.2, 1.2), ylim=(0, 1), aspect="equal", yticks=[])
    axes.spines[:].set_visible(False)
    total = sum(counts)
    left, centres, columns = 0.0, [], []
    for column, word in enumerate(("hit", "miss")):
        cells = counts[2 * column : 2 * column + 2]
        if not sum(cells):
            continue
        width = sum(cells) / total
        bottom = 0.0
        for cell, count in zip((2 * column, 2 * column + 1), cells, strict=True):
            height = count / sum(cells)
            _cell(axes, cell, count, (left, bottom, width, height), theme)
            bottom += height
        centres.append(left + width / 2)
        columns.append(f"{word}\n{sum(cells):,}")
        left += width
    axes.set_xticks(centres, columns)
    axes.tick_params(axis="x", length=0)


def _cell(axes: Axes, cell: int, count: int, box: tuple[float, float, float, float], theme: Theme) -> None:
    from matplotlib.patches import Rectangle

    left, bottom, width, height = box
    if not count:
        return
    inside = ((left, bottom), width, height)
    axes.add_patch(Rectangle(*inside, facecolor=theme.series[_COLOURS[cell]], edgecolor=theme.paper, hatch=_HATCHES[cell], linewidth=1))
    fits = width >= _FITS + 0.06 * (len(f"{count:,}") - 2) and height >= _FITS * 2 / 3
    place = left + width / 2 if fits else (1.03 if cell >= 2 else -0.03)
    align = "center" if fits else ("left" if cell >= 2 else "right")
    back = {"facecolor": theme.paper, "edgecolor": "none", "pad": 1.2} if fits else None
    axes.text(place, bottom + height / 2, f"{count:,}", ha=align, va="center", bbox=back)


def _swatch(cell: int, theme: Theme) -> Artist:
    from matplotlib.patches import Patch

    return Patch(facecolor=theme.series[_COLOURS[cell]], edgecolor=theme.paper, hatch=_HATCHES[cell], linewidth=0)
