"""Pictures of a comparison, for the page (``inline_svg``) and as files for papers (``save_pictures``). Only drawing imports matplotlib."""

from __future__ import annotations

from convbench.report.figures.catalogue import figures_of
from convbench.report.figures.picture import Picture
from convbench.report.figures.save import save_pictures
from convbench.report.figures.svg import inline_svg

__all__ = ["Picture", "figures_of", "inline_svg", "save_pictures"]
