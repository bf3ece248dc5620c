"""Numbers as cells: with what they are sorted by, and their intervals below."""

from __future__ import annotations

from convbench.analysis.estimates import Estimate
from convbench.report.comparison.table import Cell
from convbench.report.numbers import between, per_cent, points, probability
from convbench.report.tables import NOT_COMPUTED
from convbench.report.words import ABSENT


def estimate_cell(estimate: Estimate | None, *, note: str = "", mark: str = "", strong: bool = False, muted: bool = False) -> Cell:
    """A value in per cent, its interval below."""
    if estimate is None:
        return Cell(ABSENT, note=note, muted=muted)
    if estimate.value is None:
        return Cell(NOT_COMPUTED, note=note, muted=muted)
    return Cell(per_cent(estimate.value), estimate.value, between(estimate.interval), mark, note, strong, muted)


def difference_cell(estimate: Estimate | None, *, note: str = "", muted: bool = False) -> Cell:
    """A difference in points, its interval below."""
    if estimate is None or estimate.value is None:
        return estimate_cell(estimate, note=note, muted=muted)
    return Cell(points(estimate.value), estimate.value, between(estimate.interval), note=note, muted=muted)


def number_cell(value: float | None, digits: int = 2) -> Cell:
    """A plain number: an effect size, a correlation."""
    return Cell(ABSENT) if value is None else Cell(f"{round(value, digits) + 0.0:.{digits}f}", value)


def p_cell(p: float | None, *, mark: str = "") -> Cell:
    """A p-value."""
    return Cell(ABSENT) if p is None else Cell(probability(p), p, mark=mark)
