"""Which measures lead, and who is first under them."""

from __future__ import annotations

from collections.abc import Sequence

from convbench.comparison.model import Measured, TaskComparison
from convbench.metrics.base import Side

_EQUAL = 1e-12
"""Values that differ by less are one value, as in the paired test."""


def leading_measure(compared: TaskComparison, side: Side) -> Measured | None:
    """The first declared measure of a side that pairs are tested by."""
    declared = [measured for measured in compared.measured if measured.measure.side == side and measured.measure.declared]
    return next((measured for measured in declared if measured.measure.tested), None)


def as_good(order: Sequence[tuple[str, float]]) -> list[str]:
    """Those that have the same value as the first of a standing."""
    return [label for label, value in order[1:] if abs(value - order[0][1]) <= _EQUAL]


def standing(compared: TaskComparison, measured: Measured) -> list[tuple[str, float]]:
    """(label, value) of those that compete, best first."""
    found = [
        (entrant.label, value)
        for entrant in compared.task.entrants
        if entrant.competes and (value := measured.systems[entrant.label].estimate.value) is not None
    ]
    return sorted(found, key=lambda pair: -pair[1] if measured.measure.higher_is_better else pair[1])
