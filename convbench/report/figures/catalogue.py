"""Every picture of a task for which there are data."""

from __future__ import annotations

from dataclasses import replace

from convbench.comparison.model import TaskComparison
from convbench.report.figures.cost import cost_pictures
from convbench.report.figures.depth import depth_pictures
from convbench.report.figures.forest import forest_pictures
from convbench.report.figures.ladders import ladder_pictures
from convbench.report.figures.mosaic import mosaic_pictures
from convbench.report.figures.picture import Picture
from convbench.report.figures.ranks import rank_pictures
from convbench.report.figures.scatter import scatter_pictures

_KINDS = (forest_pictures, depth_pictures, rank_pictures, mosaic_pictures, ladder_pictures, cost_pictures, scatter_pictures)


def figures_of(compared: TaskComparison) -> list[Picture]:
    """The pictures of a task, in the order that a report shows them. None is drawn yet.

    Args:
        compared: One task of a comparison.
    """
    found: dict[str, Picture] = {}
    for picture in (picture for kind in _KINDS for picture in kind(compared)):
        name, number = picture.name, 1
        while name.casefold() in found:  # two measures may differ only in what file names cannot hold
            number += 1
            name = f"{picture.name}-{number}"
        found[name.casefold()] = replace(picture, name=name)
    return list(found.values())
