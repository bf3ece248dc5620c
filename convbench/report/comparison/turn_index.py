"""What the list of turns is searched, filtered and sorted by: column by column, for every turn of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.comparison.model import Settings, TaskComparison
from convbench.comparison.task import Yardstick

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIGITS = 4
"""Of a turn's value as a fraction; the page shows one decimal of per cent."""


def browsed(compared: TaskComparison) -> list[Yardstick]:
    """The measures that turns are looked at by: the declared ones; where none is declared, the first tested one of each side."""
    declared = [measure for measure in compared.task.measures if measure.declared and measure.aggregate == "mean"]
    return declared or list(compared.task.primaries)


def turn_index(compared: TaskComparison, settings: Settings, pages: list[int]) -> dict[str, Any]:
    """The index of one task.

    Args:
        compared: The task.
        settings: From which value on a turn counts as right.
        pages: For each turn the number of the page that holds its details.

    Returns:
        Columns, each as long as the task has turns; ``values`` holds one a measure and entrant.
    """
    task = compared.task
    titles = {table.name: table.title for table in compared.slices}
    return {
        "id": task.id,
        "title": task.title,
        "systems": [entrant.label for entrant in task.entrants],
        "chosen": _chosen(compared),
        "good": settings.good,
        "measures": [_measure(measure) for measure in browsed(compared)],
        "slicings": [
            {"name": name, "title": titles.get(name, name), "labels": list(labels)}
            for name, labels in compared.labels.items()
            if any(label is not None for label in labels)
        ],
        "ids": [turn.id for turn in task.turns],
        "queries": [turn.query for turn in task.turns],
        "pages": pages,
        "values": [[_column(task.values[measure.key][:, place]) for place in range(len(task.entrants))] for measure in browsed(compared)],
    }


def _chosen(compared: TaskComparison) -> list[int]:
    """Places of the two entrants shown first: the first competitor against the baseline, or the first two."""
    labels = [entrant.label for entrant in compared.task.entrants]
    order = [*compared.task.competitors, *(place for place in range(len(labels)) if place not in compared.task.competitors)]
    if compared.baseline is None:
        return order[:2]
    baseline = labels.index(compared.baseline)
    return [next((place for place in order if place != baseline), baseline), baseline]


def _measure(measure: Yardstick) -> dict[str, Any]:
    return {"label": measure.label, "side": measure.side, "higher": measure.higher_is_better}


def _column(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), _DIGITS) for value in values]
