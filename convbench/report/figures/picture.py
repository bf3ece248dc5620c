"""A picture: what it shows in words, and how it is drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from convbench.report.figures.canvas import house_style
from convbench.report.figures.themes import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind: TypeAlias = Literal["depth", "forest", "mosaic", "ladder", "cost", "scatter", "ranks"]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a report. Nothing is drawn before ``draw``.

    Attributes:
        name: Unique in the report, fit for file names and anchors: ``topiocqa-mini-depth-nDCG-3``.
        kind: What sort of picture.
        title: A heading.
        caption: How to read it, in one sentence.
        alt: What it shows, in words and numbers, for those who do not see it.
        drawing: Draws it in the colours of a theme.
    """

    name: str
    kind: Kind
    title: str
    caption: str
    alt: str
    drawing: Callable[[Theme], Figure] = field(repr=False)

    def draw(self, theme: Theme) -> Figure:
        """The picture as a matplotlib figure, which belongs to no window and no global state."""
        with house_style(theme):
            figure = self.drawing(theme)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # everything is in its place: it stays there in every format, and saving takes half the time
            return figure


def picture_name(task: str, kind: Kind, *parts: str) -> str:
    """``topiocqa-mini-depth-nDCG-3`` of a task's id, a kind and what tells it from others of that kind."""
    return "-".join([task, kind, *(re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts)])
