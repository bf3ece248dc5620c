"""The sections of a task's report, in reading order."""

from __future__ import annotations

from collections.abc import Iterable

from convbench.comparison.model import Settings, TaskComparison
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

_DEFAULT = Settings()


def sections_of(task: TaskComparison, settings: Settings = _DEFAULT) -> tuple[Section, ...]:
    """Everything that is said of a task in tables.

    Args:
        task: The task.
        settings: Those of the comparison, which the notes under tables state.

    Returns:
        Sections that have something to say; ``figures`` holds kinds of pictures (``depth``, ``forest`` ...).
    """
    sections = (
        _section(task, "results", "Results", [declared_results(task, settings)], result_statements(task, settings)),
        _section(task, "all-measures", "All other measures", [other_results(task, settings)], collapsed=True),
        _section(task, "differences", "Differences", [difference_table(task, settings)], difference_statements(task), ("forest",)),
        _slices(task, settings),
        _consistency(task, settings),
        _section(task, "cost", "Cost", [costs_table(task)], figures=("cost",)),
        _section(task, "conditions", "How the systems were run", [conditions_table(task)]),
    )
    return tuple(section for section in sections if section.tables or section.statements)


def _slices(task: TaskComparison, settings: Settings) -> Section:
    tables = [slice_difference_table(task, settings), *slice_value_tables(task, settings)]
    statements = slice_statements(task, settings) or ([slice_count(task, settings)] if task.slices else [])
    return _section(task, "slices", "Slices", tables, statements, ("depth",))


def _consistency(task: TaskComparison, settings: Settings) -> Section:
    tables = [
        consistency.outcome_table(task),
        consistency.rank_table(task),
        consistency.support_table(task),
        ladders.evidence_table(task),
        ladders.history_table(task),
        ladders.grid_table(task),
        consistency.agreement_table(task),
        consistency.example_table(task),
    ]
    statements = [*consistency_statements(task, settings), *task.consistency.notes]
    title = "Does better retrieval become better responses?"
    return _section(task, "consistency", title, tables, statements, ("mosaic", "ranks", "ladder", "scatter"))


def _section(
    task: TaskComparison,
    kind: str,
    title: str,
    tables: Iterable[Table | None],
    statements: Iterable[str] = (),
    figures: tuple[str, ...] = (),
    *,
    collapsed: bool = False,
) -> Section:
    present = tuple(table for table in tables if table is not None)
    return Section(f"{task.task.id}-{kind}", title, tuple(statements), present, figures, collapsed)
