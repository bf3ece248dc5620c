"""Slices: systems on parts of the turns, a table a slicing, and the differences that are found there."""

from __future__ import annotations

from collections.abc import Iterator

from convbench.analysis.estimates import Estimate
from convbench.comparison.model import Settings, TaskComparison
from convbench.comparison.slice_model import SliceContrast, SliceRow, SliceTable
from convbench.comparison.slice_tables import INTERVAL_RESAMPLES
from convbench.report.comparison.cells import difference_cell, estimate_cell, p_cell
from convbench.report.comparison.results_tables import ROLES, best_shown, heading, ranked
from convbench.report.comparison.table import Cell, Column, Table
from convbench.report.numbers import level_in_words, per_cent
from convbench.report.words import counted

Found = tuple[SliceTable, SliceRow, SliceContrast]


def slice_value_tables(compared: TaskComparison, settings: Settings) -> list[Table]:
    """One table a slicing: a row a measure and slice, a column an entrant."""
    return [_value_table(compared, table, settings) for table in compared.slices if table.rows]


def slice_difference_table(compared: TaskComparison, settings: Settings) -> Table | None:
    """The differences that are significant after correction, the largest first; None where there is none."""
    found = slice_findings(compared)
    if not found:
        return None
    columns = (
        Column("Slicing", kind="text"),
        Column("Slice", kind="text"),
        Column("Measure", kind="text"),
        Column("System", kind="text"),
        Column("Against", kind="text"),
        Column("Difference", title="first minus second, in points"),
        Column("p", title="uncorrected"),
        Column("p (BH)", title="Benjamini-Hochberg over all slices of the task"),
    )
    rows = tuple(
        (
            Cell(table.title),
            Cell(row.value),
            Cell(heading(compared.task.measure(contrast.measure))),
            Cell(contrast.first, strong=contrast.better == contrast.first),
            Cell(contrast.second, strong=contrast.better == contrast.second),
            difference_cell(contrast.difference),
            p_cell(contrast.p),
            p_cell(contrast.adjusted),
        )
        for table, row, contrast in found
    )
    caption = f"Differences on slices of {compared.task.title}, in points: those that are told apart."
    return Table(f"{compared.task.id}-slice-differences", caption, columns, rows, (slice_count(compared, settings),))


def slice_findings(compared: TaskComparison) -> list[Found]:
    """Tests on slices that are significant after correction, the largest difference first."""
    found = [test for test in slice_tests(compared) if test[2].better]
    return sorted(found, key=lambda test: -abs(test[2].difference.value or 0.0))


def slice_tests(compared: TaskComparison) -> Iterator[Found]:
    """Every test that was made on a slice."""
    for table in compared.slices:
        for row in table.rows:
            yield from ((table, row, contrast) for contrast in row.contrasts if contrast.p is not None)


def slice_count(compared: TaskComparison, settings: Settings) -> str:
    """How many tests on slices there are, and how many tell systems apart."""
    tests = len(list(slice_tests(compared)))
    floor = f"{counted(settings.floor_turns, 'turn')} and {counted(settings.floor_conversations, 'conversation')}"
    if not tests:
        return f"No slice was tested: none has at least {floor}."
    return (
        f"Exploratory: {len(slice_findings(compared))} of {counted(tests, 'test')} on slices of at least {floor} tell systems apart at "
        f"{level_in_words(settings.alpha)} after Benjamini-Hochberg."
    )


def _value_table(compared: TaskComparison, table: SliceTable, settings: Settings) -> Table:
    columns = (
        Column("Measure", kind="text"),
        Column("Slice", kind="text"),
        Column("turns"),
        Column("conversations"),
        *(Column(entrant.label, "systems", title=ROLES[entrant.role]) for entrant in ranked(compared)),
    )
    rows = tuple(_value_row(compared, key, row) for key in table.measures for row in table.rows)
    caption = f"{table.title} on {compared.task.title}, in per cent."
    return Table(f"{compared.task.id}-slice-{table.name}", caption, columns, rows, tuple(_notes(compared, table, settings)))


def _value_row(compared: TaskComparison, key: str, row: SliceRow) -> tuple[Cell, ...]:
    measure, estimates = compared.task.measure(key), row.systems.get(key, {})
    best = None if row.small else best_shown(compared, measure, estimates)
    return (
        Cell(heading(measure), muted=row.small),
        Cell(row.value, muted=row.small),
        Cell(f"{row.n_turns:,}", row.n_turns, muted=row.small),
        Cell(f"{row.n_conversations:,}", row.n_conversations, muted=row.small),
        *(
            estimate_cell(
                estimates.get(entrant.label),
                mark=_mark(compared, row, key, entrant.label),
                strong=best is not None and entrant.competes and _shown(estimates.get(entrant.label)) == best,
                muted=row.small or not entrant.competes,
            )
            for entrant in ranked(compared)
        ),
    )


def _shown(estimate: Estimate | None) -> str | None:
    return None if estimate is None or estimate.value is None else per_cent(estimate.value)


def _mark(compared: TaskComparison, row: SliceRow, key: str, label: str) -> str:
    """Against a baseline: ``*`` where the entrant is better, ``†`` where it is worse. Without one, pairs have a table of their own."""
    if compared.baseline is None:
        return ""
    own = [contrast for contrast in row.contrasts if contrast.measure == key and contrast.first == label and contrast.better]
    return "".join("*" if contrast.better == label else "†" for contrast in own)


def _notes(compared: TaskComparison, table: SliceTable, settings: Settings) -> list[str]:
    level, resamples = level_in_words(settings.resampling.level), f"{min(settings.resampling.resamples, INTERVAL_RESAMPLES):,}"
    notes = [
        table.description,
        f"With each value its {level} interval, from {resamples} resamples. Bold: the best of those that compete.",
    ]
    if any(row.small for row in table.rows):
        floor = f"{counted(settings.floor_turns, 'turn')} or {counted(settings.floor_conversations, 'conversation')}"
        notes.append(f"Slices under {floor} are not tested, and no best value is marked.")
    if compared.baseline is not None:
        notes.append(f"*: better, †: worse than {compared.baseline} (Benjamini-Hochberg over all slices of the task).")
    if table.unlabelled:
        notes.append(f"{counted(table.unlabelled, 'turn')} without a label.")
    return notes
