"""The sheet that pictures are drawn on: sizes of a paper's columns, fonts, and settings that do not depend on the user's machine."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from convbench.report.figures.themes import Theme

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NARROW, WIDE = 3.3, 7.0
"""Inches: one column of a two-column paper, and both."""

DPI = 300
"""Of pictures without vectors."""

TEXT, SMALL = 8.0, 7.0
"""Points: headings and axis titles; all else."""

_CHARACTER = 0.6 * SMALL
"""Points that a character takes, roughly and rather too wide."""

_SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that pictures are the same everywhere
    "font.size": SMALL,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "grid.linewidth": 0.5,
    "grid.alpha": 0.15,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.visible": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "legend.columnspacing": 1.2,
    "text.parse_math": False,  # a name may hold dollar signs
    "text.hinting": "none",  # text is as wide in every format and resolution, so that one layout fits all
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "convbench",  # ids of clip paths and markers are the same in every execution
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "figure.constrained_layout.w_pad": 0.07,
    "figure.constrained_layout.h_pad": 0.04,
}


@contextmanager
def house_style(theme: Theme) -> Iterator[None]:
    """Within the block matplotlib has its own defaults and ours, whatever the user's configuration says."""
    from matplotlib import style

    colours = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), theme.ink)
    colours |= {"figure.facecolor": theme.paper, "savefig.facecolor": theme.paper, "legend.labelcolor": theme.ink}
    with style.context(["default", _SETTINGS | colours]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of another script in a name: the font has a box for it
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that arranges what it holds by itself."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # measures text; figures are saved in any format all the same
    return figure


def legend_below(figure: Figure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """A legend under everything, in as many columns as fit the figure."""
    columns = legend_columns(figure.get_figwidth(), names)
    legend = figure.legend(handles, [""] * len(names), loc="outside lower center", ncols=columns)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)  # not at once: names that begin with an underscore would be left out


def legend_columns(width: float, names: Sequence[str]) -> int:
    """Columns of a legend that fit a width in inches."""
    fit = max(int(72 * width / (max(map(len, names)) * _CHARACTER + 30)), 1)
    rows = -(-len(names) // fit)
    return -(-len(names) // rows)  # as even as may be


def legend_height(width: float, names: Sequence[str]) -> float:
    """Inches that a legend takes, so that axes keep their height."""
    return 0.17 * -(-len(names) // legend_columns(width, names))


def grid_lines(axes: Axes, direction: str) -> None:
    """Faint lines across one direction (``x`` or ``y``), under everything."""
    axes.grid(visible=True, axis=direction)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
