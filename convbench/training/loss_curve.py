"""A picture of a training: the losses, and the metrics below, over the steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from convbench.io.atomic import atomic_path
from convbench.training.log import read_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves: TypeAlias = Mapping[str, tuple[list[int], list[float]]]
"""Name -> steps and values."""

_LOOKS = (("#0072b2", "-"), ("#d55e00", "--"), ("#00855f", "-."), ("#b5528c", ":"), ("#9a6b00", "-"), ("#6f7784", "--"))
_SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 7,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
    "text.parse_math": False,  # a metric's name may hold dollar signs
    "svg.fonttype": "none",
    "svg.hashsalt": "convbench",  # the same picture, the same bytes
}


def draw_curves(log: Path, folder: Path) -> list[Path]:
    """Draws a log as ``loss.svg`` and ``loss.png``, 7 inches wide, 200 dpi.

    Args:
        log: ``train.jsonl``.
        folder: Where to.

    Raises:
        StorageError: The disk is full or the folder cannot be written to.
    """
    from matplotlib import style

    losses, metrics = curves_of(read_log(log))
    written = []
    with style.context(["default", _SETTINGS]):
        figure = _figure(losses, metrics)
        for name, metadata in (("loss.svg", {"Date": None, "Creator": None}), ("loss.png", {"Software": None})):
            with atomic_path(folder / name) as temporary:
                figure.savefig(temporary, format=name[-3:], metadata=metadata)
            written.append(folder / name)
    return written


def curves_of(lines: Iterable[Mapping[str, Any]]) -> tuple[Curves, Curves]:
    """The losses, with the weighted ``total`` where there are several, and the metrics of a log."""
    losses: dict[str, tuple[list[int], list[float]]] = {}
    metrics: dict[str, tuple[list[int], list[float]]] = {}
    for line in lines:
        _add(losses, line["step"], {**line.get("losses", {}), **({"total": line["total"]} if "total" in line else {})})
        _add(metrics, line["step"], line.get("metrics", {}))
    if len(losses) == 2:  # one objective and the total, which is a multiple of it
        del losses["total"]
    return losses, metrics


def _add(curves: dict[str, tuple[list[int], list[float]]], step: int, values: Mapping[str, float | None]) -> None:
    for name, value in values.items():
        if value is not None:
            steps, found = curves.setdefault(name, ([], []))
            steps.append(step)
            found.append(value)


def _figure(losses: Curves, metrics: Curves) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = 2 if metrics else 1
    figure = Figure(figsize=(7.0, 2.6 * rows), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    _draw(axes[0], losses, "Loss", mark=None)
    if metrics:
        _draw(axes[1], metrics, "Metric on the evaluation data", mark="o")
    axes[-1].set_xlabel("Step")
    axes[-1].locator_params(axis="x", integer=True)
    return figure


def _draw(axes: Axes, curves: Curves, label: str, *, mark: str | None) -> None:
    lines = []
    for (steps, values), (colour, dashes) in zip(curves.values(), cycle(_LOOKS)):
        lines += axes.plot(steps, values, color=colour, linestyle=dashes, marker=mark if len(steps) > 1 else "o", markersize=3)
    axes.set_ylabel(label)
    axes.grid(visible=True, alpha=0.15, linewidth=0.5)
    if lines:
        axes.legend(lines, list(curves), loc="center left", bbox_to_anchor=(1.0, 0.5))
