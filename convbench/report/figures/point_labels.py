"""Names beside points, where there is room; the legend tells the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = 6.0
_AWAY = 5.0
_SIDES = ((1, 0, "left", "center"), (-1, 0, "right", "center"), (0, 1, "center", "bottom"), (0, -1, "center", "top"))


def label_points(axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    """Writes each name right of, left of, above or below its point: the first place that is free.

    Args:
        axes: Axes that have their final place in the figure.
        points: In data coordinates.
        names: One for each point.
    """
    from matplotlib.transforms import Bbox

    pixels = axes.transData.transform(points)
    scale = axes.figure.dpi / 72
    taken = [Bbox.from_extents(x - 3 * scale, y - 3 * scale, x + 3 * scale, y + 3 * scale) for x, y in pixels]
    for point, name in zip(points, names, strict=True):
        for right, up, horizontal, vertical in _SIDES:
            label = axes.annotate(
                name,
                point,
                (right * _AWAY, up * _AWAY),
                textcoords="offset points",
                ha=horizontal,
                va=vertical,
                fontsize=_SIZE,
                in_layout=False,
            )
            box = label.get_window_extent().padded(0.5 * scale)
            if (
                axes.bbox.contains(box.x0, box.y0)
                and axes.bbox.contains(box.x1, box.y1)
                and not any(box.overlaps(other) for other in taken)
            ):
                taken.append(box)
                break
            label.remove()
