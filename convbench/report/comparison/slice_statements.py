"""Where systems differ, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from convbench.comparison.model import Settings, TaskComparison
from convbench.report.comparison.phrases import sizes
from convbench.report.comparison.results_tables import heading
from convbench.report.comparison.slice_tables import Found, slice_count, slice_findings
from convbench.report.comparison.standing import leading_measure, standing

_SLICES = 3


def slice_statements(compared: TaskComparison, settings: Settings) -> list[str]:
    """Where the best system is told apart from the next one; where it nowhere is, the largest differences on slices, one a slicing."""
    findings = slice_findings(compared)
    if not findings:
        return []
    if compared.baseline is None and (pair := _front(compared)) is not None:
        between = [found for found in findings if {found[2].first, found[2].second} == pair]
        if between:
            return [f"{slice_count(compared, settings)} Of the two best systems: {_found(compared, between)}."]
    return [f"{slice_count(compared, settings)} The largest, one a slicing: {_found(compared, findings)}."]


def _front(compared: TaskComparison) -> set[str] | None:
    """The first two systems by the first declared measure."""
    measured = leading_measure(compared, "ranking") or leading_measure(compared, "response")
    order = standing(compared, measured) if measured else []
    return {label for label, _ in order[:2]} if len(order) > 1 else None


def _found(compared: TaskComparison, findings: Sequence[Found]) -> str:
    """The largest difference of each slicing, a few of them."""
    largest: dict[str, Found] = {}
    for found in findings:
        largest.setdefault(found[0].name, found)
    return "; ".join(_finding(compared, found) for found in list(largest.values())[:_SLICES])


def _finding(compared: TaskComparison, found: Found) -> str:
    table, row, contrast = found
    worse = contrast.second if contrast.better == contrast.first else contrast.first
    measure = heading(compared.task.measure(contrast.measure))
    return f"{table.title} “{row.value}”, {contrast.better} better than {worse} by {sizes([contrast.difference.value or 0.0])} of {measure}"
