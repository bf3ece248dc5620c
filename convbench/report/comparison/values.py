"""Numbers as a comparison shows them: per cent and points with one decimal, p with four."""

from __future__ import annotations

from convbench.analysis.estimates import Estimate
from convbench.report.comparison.table import Cell
from convbench.report.tables import NOT_COMPUTED
from convbench.report.words import ABSENT

Ends = tuple[float, float]


def per_cent(value: float) -> str:
    """A fraction in per cent."""
    return f"{round(100 * value, 1) + 0.0:.1f}"  # + 0.0 makes -0.0 a plain 0


def points(value: float) -> str:
    """A difference of fractions in points, with its sign."""
    shown = per_cent(value)
    return shown if shown.startswith("-") or shown == "0.0" else f"+{shown}"


def between(ends: Ends | None) -> str:
    """An interval in brackets, in per cent; empty where there is none."""
    return f"[{per_cent(ends[0])}, {per_cent(ends[1])}]" if ends else ""


def probability(p: float) -> str:
    """A p-value."""
    return f"{p:.4f}"


def level_in_words(level: float) -> str:
    """A coverage: ``95 %``."""
    return f"{100 * level:g} %"


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
