"""The view of results that both reports are written from: one table a dataset, everything in it text already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from convbench.harness.names import run_names
from convbench.harness.results import MetricResult, Results
from convbench.report import notes
from convbench.report.columns import Column, Split, columns_of, splits_of
from convbench.report.costs import CostGroup, cost_table
from convbench.report.numbers import per_cent
from convbench.report.words import ABSENT, conditions_in_words, dataset_facts

NOT_COMPUTED = "n/c"


@dataclass(frozen=True, slots=True)
class Cell:
    """One value.

    Attributes:
        text: Per cent with one decimal, ``NOT_COMPUTED``, or ``ABSENT`` where the run has nothing under the column's signature.
        interval: Both ends of the 95 % interval, like ``text``.
        best: The best of its column.
        notes: Numbers of footnotes.
    """

    text: str
    interval: tuple[str, str] | None
    best: bool
    notes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One system.

    Attributes:
        system: Its name, with what tells it from others of that name.
        conditions: A phrase each, without those that all compared systems share.
        role: ``shortcut``, ``ceiling``, ``floor``, or empty for a system that is compared.
        cells: For each group its cells.
        costs: For each group of costs its texts.
    """

    system: str
    conditions: tuple[str, ...]
    role: str
    cells: tuple[tuple[Cell, ...], ...]
    costs: tuple[tuple[str, ...], ...]

    @property
    def is_reference(self) -> bool:
        """Whether it only shows what is possible."""
        return bool(self.role)


@dataclass(frozen=True, slots=True)
class ColumnGroup:
    """Columns that look at the same side of a run, and what they average over."""

    name: str
    columns: tuple[Column, ...]
    turn_sets: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DatasetTable:
    """All runs on one dataset, split, collection and turn set; ``shared`` are the conditions of every compared system."""

    name: str
    split: str
    facts: tuple[tuple[str, str], ...]
    shared: tuple[str, ...]
    groups: tuple[ColumnGroup, ...]
    rows: tuple[Row, ...]
    cost_groups: tuple[CostGroup, ...]
    cost_notes: tuple[str, ...]
    splits: tuple[Split, ...]
    warnings: tuple[str, ...]
    footnotes: tuple[str, ...]


def dataset_tables(runs: Sequence[Results]) -> list[DatasetTable]:
    """One table for all runs on the very same task, in the order of first appearance."""
    tasks: dict[str, list[Results]] = {}
    for run in runs:
        tasks.setdefault(run.dataset.model_dump_json(exclude={"licence"}), []).append(run)
    return [_table(task) for task in tasks.values()]


def _table(runs: Sequence[Results]) -> DatasetTable:
    columns = columns_of(runs)
    ordered = sorted(runs, key=lambda run: ("", "shortcut", "ceiling", "floor").index(run.reference))
    remarks = dict.fromkeys(text for run in ordered for column in columns for text in notes.remarks(column.result_of(run)))
    numbers = {text: number for number, text in enumerate(remarks, start=1)}
    groups = tuple(_group(name, tuple(members), ordered) for name, members in groupby(columns, key=lambda column: column.group))
    best = {column: _best(column, runs) if column.ranks else None for column in columns}
    shared = _shared(runs)
    costs = cost_table(ordered)
    dataset = runs[0].dataset
    return DatasetTable(
        name=dataset.name,
        split=dataset.split,
        facts=tuple(dataset_facts(dataset)),
        shared=tuple(shared),
        groups=groups,
        rows=tuple(
            _row(run, name, groups, best, numbers, shared, texts)
            for run, name, texts in zip(ordered, run_names(ordered), costs.rows, strict=True)
        ),
        cost_groups=costs.groups,
        cost_notes=costs.notes,
        splits=tuple(splits_of(columns)),
        warnings=tuple(notes.warnings(ordered)),
        footnotes=tuple(numbers),
    )


def _group(name: str, columns: tuple[Column, ...], runs: Sequence[Results]) -> ColumnGroup:
    return ColumnGroup(name, columns, tuple(notes.turn_sets(columns, runs)), tuple(notes.missing_turns(columns, runs)))


def _conditions(run: Results) -> list[str]:
    return [*conditions_in_words(run.conditions), f"seed {run.seed}"]


def _shared(runs: Sequence[Results]) -> list[str]:
    """The conditions that all compared systems have in common; said once, so that rows show what differs."""
    compared = [_conditions(run) for run in runs if not run.reference]
    return [phrase for phrase in compared[0] if all(phrase in others for others in compared)] if len(compared) > 1 else []


def _row(
    run: Results,
    name: str,
    groups: Sequence[ColumnGroup],
    best: Mapping[Column, str | None],
    numbers: Mapping[str, int],
    shared: Sequence[str],
    costs: tuple[tuple[str, ...], ...],
) -> Row:
    role = run.reference

    def cell(column: Column) -> Cell:
        result = column.result_of(run)
        text = _text(result)
        interval = (per_cent(result.ci[0]), per_cent(result.ci[1])) if result and result.ci else None
        return Cell(text, interval, not role and text == best[column], tuple(numbers[remark] for remark in notes.remarks(result)))

    conditions = tuple(phrase for phrase in _conditions(run) if role or phrase not in shared)
    return Row(name, conditions, role, tuple(tuple(map(cell, group.columns)) for group in groups), costs)


def _best(column: Column, runs: Sequence[Results]) -> str | None:
    """The best value as shown, so that values that look the same are marked the same; None where all that are compared are one value."""
    compared = [result for run in runs if not run.reference and (result := column.result_of(run)) is not None]
    values = sorted({float(per_cent(result.value)) for result in compared if result.value is not None})
    if len(values) < 2:
        return None
    return f"{values[-1 if column.higher_is_better else 0]:.1f}"


def _text(result: MetricResult | None) -> str:
    if result is None:
        return ABSENT
    return NOT_COMPUTED if result.value is None else per_cent(result.value)
