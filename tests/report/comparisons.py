"""Comparisons for tests: of real runs, and with other names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from convbench.analysis.resampling import Resampling
from convbench.comparison.model import Settings, TaskComparison
from convbench.report.comparison.consistency_statements import consistency_statements
from convbench.report.comparison.sections import sections_of
from convbench.report.comparison.slice_statements import slice_statements
from convbench.report.comparison.statements import difference_statements, result_statements
from convbench.report.comparison.table import Table

QUICK = Settings(resampling=Resampling(resamples=500))
HOSTILE = ("=1+1", '<b>& $x^2$ #1 ~50% \\input{a} _u_ "q" `c`', "[a](b) | \u4e2d\u6587 *c*\nd", "@cmd -1", "-2+3 --x")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?")


def tables_of(compared: TaskComparison, settings: Settings = QUICK) -> dict[str, Table]:
    """Kind -> table: ``results``, ``differences`` ..."""
    start = f"{compared.task.id}-"
    return {table.id.removeprefix(start): table for section in sections_of(compared, settings) for table in section.tables}


def statements_of(compared: TaskComparison, settings: Settings) -> tuple[str, ...]:
    """All that one task says."""
    told = [*result_statements(compared, settings), *difference_statements(compared), *slice_statements(compared, settings)]
    return (*told, *consistency_statements(compared, settings))


def numbers(text: str) -> set[str]:
    """Every number of a text, without signs and thousands separators."""
    return {found.lstrip("+-").replace(",", "") for found in NUMBER.findall(text)}


def texts_of(table: Table) -> Iterator[str]:
    """Everything that a table says."""
    yield from (table.caption, *table.notes)
    for column in table.columns:
        yield from (column.label, column.group)
    for row in table.rows:
        for cell in row:
            yield from (cell.text, cell.below, cell.note)


def renamed(compared: TaskComparison, names: dict[str, str]) -> TaskComparison:
    """The same comparison of entrants that are called otherwise."""
    entrants = tuple(replace(entrant, label=names[entrant.label]) for entrant in compared.task.entrants)
    measured = tuple(
        replace(
            one,
            systems={names[label]: value for label, value in one.systems.items()},
            contrasts=tuple(
                replace(pair, first=names[pair.first], second=names[pair.second], better=names.get(pair.better, ""))
                for pair in one.contrasts
            ),
        )
        for one in compared.measured
    )
    outcomes = tuple(replace(one, label=names[one.label]) for one in compared.consistency.outcomes)
    consistency = replace(compared.consistency, outcomes=outcomes, by_rank=(), joint=(), support=())
    return replace(compared, task=replace(compared.task, entrants=entrants), measured=measured, slices=(), consistency=consistency)
