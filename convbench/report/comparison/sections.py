"""The sections of a task's report, in reading order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from convbench.comparison.model import Comparison, Settings, TaskComparison
from convbench.report.comparison import consistency_tables as consistency
from convbench.report.comparison import ladder_tables as ladders
from convbench.report.comparison.consistency_statements import consistency_statements
from convbench.report.comparison.difference_tables import difference_table
from convbench.report.comparison.results_tables import declared_results, other_results
from convbench.report.comparison.run_tables import conditions_table, costs_table
from convbench.report.comparison.slice_statements import slice_statements
from convbench.report.comparison.slice_tables import slice_count, slice_difference_table, slice_value_tables
from convbench.report.comparison.statements import difference_statements, result_statements
from convbench.report.comparison.table import Section, Table
from convbench.report.comparison.tier_tables import TITLE, tier_statements, tier_tables


def sections_of(compared: TaskComparison, settings: Settings) -> tuple[Section, ...]:
    """Everything that is said of a task in tables.

    Args:
        compared: The task.
        settings: Those of the comparison, which the notes under tables state.

    Returns:
        Sections that have something to say; ``figures`` holds kinds of pictures (``depth``, ``forest`` ...).
    """
    sections = (
        _section(compared, "results", "Results", [declared_results(compared, settings)], result_statements(compared, settings)),
        _section(compared, "all-measures", "All other measures", [other_results(compared, settings)], collapsed=True),
        _section(
            compared, "differences", "Differences", [difference_table(compared, settings)], difference_statements(compared), ("forest",)
        ),
        _section(compared, "tiers", TITLE, tier_tables(compared, settings), tier_statements(compared, settings)),
        _slices(compared, settings),
        _consistency(compared, settings),
        _section(compared, "cost", "Cost", [costs_table(compared)], figures=("cost",)),
        _section(compared, "conditions", "How the systems were run", [conditions_table(compared)]),
    )
    return tuple(section for section in sections if section.tables or section.statements)


def tables_of(comparison: Comparison) -> Iterator[Table]:
    """Every table of the report, task by task."""
    for compared in comparison.tasks:
        for section in sections_of(compared, comparison.settings):
            yield from section.tables


def _slices(compared: TaskComparison, settings: Settings) -> Section:
    tables = [slice_difference_table(compared, settings), *slice_value_tables(compared, settings)]
    statements = slice_statements(compared, settings) or ([slice_count(compared, settings)] if compared.slices else [])
    return _section(compared, "slices", "Slices", tables, statements, ("depth",))


def _consistency(compared: TaskComparison, settings: Settings) -> Section:
    tables = [
        consistency.outcome_table(compared),
        consistency.rank_table(compared),
        consistency.support_table(compared),
        ladders.evidence_table(compared),
        ladders.history_table(compared),
        ladders.grid_table(compared),
        consistency.agreement_table(compared),
        consistency.example_table(compared),
    ]
    statements = [*consistency_statements(compared, settings), *compared.consistency.notes]
    title = "Does better retrieval become better responses?"
    return _section(compared, "consistency", title, tables, statements, ("mosaic", "ranks", "ladder", "scatter"))


def _section(
    compared: TaskComparison,
    kind: str,
    title: str,
    tables: Iterable[Table | None],
    statements: Iterable[str] = (),
    figures: tuple[str, ...] = (),
    *,
    collapsed: bool = False,
) -> Section:
    present = tuple(table for table in tables if table is not None)
    return Section(f"{compared.task.id}-{kind}", title, tuple(statements), present, figures, collapsed)
