"""The comparison as Markdown: readable as it is, and rendered by GitHub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from convbench.comparison.model import Comparison, TaskComparison
from convbench.report.comparison.methods import SIGNATURES, methods_of
from convbench.report.comparison.results_tables import SIDES, heading
from convbench.report.comparison.sections import sections_of
from convbench.report.comparison.statements import summary_of, title_of
from convbench.report.comparison.table import Cell, Column, Section, Table
from convbench.report.markdown import Markdown, aligned_table, code, escape
from convbench.report.words import dataset_facts

if TYPE_CHECKING:
    from convbench.report.figures.picture import Picture

_ROWS = 100
"""Rows of a table in the report; the whole table is in its CSV file."""


_INTERVAL = re.compile(r"\[-?[\d.]+, -?[\d.]+\]( n=\d+)?|n=\d+")
"""Brackets that are no link and stay readable without backslashes."""


def markdown_text(table: Table) -> str:
    """One table with its caption and notes.

    Second lines and marks stand behind the value, the best value is bold, greyed ones are in italics. Columns of a group are named under
    the table, or carry its name where two groups have columns of one name.
    """
    return f"**{escape(table.caption)}**\n\n{_table_text(table, table.rows)}"


def render_markdown(comparison: Comparison, pictures: Mapping[str, Sequence[Picture]] | None = None) -> str:
    """The whole report.

    Args:
        comparison: What to show.
        pictures: Task id -> its pictures, which are referred to as ``figures/NAME.png``; none where nothing was saved.
    """
    parts = [f"# {escape(title_of(comparison))}", _listed(summary_of(comparison)), "How to read the tables:", _reading()]
    for compared in comparison.tasks:
        parts += _task(compared, comparison, (pictures or {}).get(compared.task.id, ()))
    parts += _methods(comparison)
    return "\n\n".join(part for part in parts if part) + "\n"


def _reading() -> str:
    return _listed(
        [
            Markdown(
                "Values are per cent, differences points, both with their interval in brackets. **Bold** is the best value of those that "
                "compete; *italics* do not compete, or stand on too few turns. Numbers compare within one column only."
            ),
            Markdown("“Not told apart” does not mean equal: the data do not show which is better."),
        ]
    )


def _task(compared: TaskComparison, comparison: Comparison, pictures: Sequence[Picture]) -> Iterator[str]:
    yield f"## {escape(compared.task.title)}"
    facts = dataset_facts(compared.task.entrants[0].run.results.dataset)
    yield _listed([*(f"{label}: {text}" for label, text in facts), *compared.notes])
    for section in sections_of(compared, comparison.settings):
        yield from _section(section, compared, pictures)


def _section(section: Section, compared: TaskComparison, pictures: Sequence[Picture]) -> Iterator[str]:
    yield f"### {escape(section.title)}: {escape(compared.task.title)}"
    yield _listed(section.statements)
    shown = [picture for kind in section.figures for picture in pictures if picture.kind == kind]
    yield from (f"![{escape(picture.alt)}](figures/{picture.name}.png)\n\n{escape(picture.caption)}" for picture in shown)
    folded = section.collapsed or len(section.tables) > 1
    for place, table in enumerate(section.tables):
        rows = _chosen(table, compared)
        text = _table_text(table, rows)
        if len(rows) < len(table.rows):
            text += f"\n\n{len(table.rows) - len(rows):,} more rows: `tables/{table.id}.csv`"
        yield _folded(table.caption, text) if folded and (place or section.collapsed) else f"**{escape(table.caption)}**\n\n{text}"


def _chosen(table: Table, compared: TaskComparison) -> Sequence[tuple[Cell, ...]]:
    """The rows that the report has room for: of slices those of the first declared measure of retrieval and of responses."""
    if table.id.startswith(f"{compared.task.id}-slice-") and table.columns[0].label == "Measure":
        leading = {heading(measure) for side in SIDES if (measure := compared.task.primary(side)) is not None}
        return [row for row in table.rows if row[0].text in leading]
    return table.rows[:_ROWS]


def _folded(caption: str, text: str) -> str:
    return f"<details>\n<summary>{escape(caption)}</summary>\n\n{text}\n\n</details>"


def _methods(comparison: Comparison) -> Iterator[str]:
    yield "## Methods"
    for title, paragraphs in methods_of(comparison):
        if title == SIGNATURES:
            yield _folded(title, _listed([code(signature) for signature in paragraphs]))
        else:
            yield f"### {escape(title)}"
            yield "\n\n".join(map(escape, paragraphs))


def _listed(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)


def _table_text(table: Table, rows: Sequence[Sequence[Cell]]) -> str:
    footnotes = list(dict.fromkeys(cell.note for row in rows for cell in row if cell.note))
    lines = aligned_table(_header(table.columns), [[_cell(cell, footnotes) for cell in row] for row in rows])
    under = [*_groups(table.columns), *table.notes, *(f"({number}) {note}" for number, note in enumerate(footnotes, start=1))]
    return "\n\n".join(part for part in (lines, _listed(under)) if part)


def _cell(cell: Cell, footnotes: Sequence[str]) -> str:
    text = _plain(cell.text)
    around = "**" if cell.strong else "*" if cell.muted else ""
    shown = f"{around}{text}{around}" if text else ""
    mark = f"<sup>{escape(cell.mark)}</sup>" if cell.mark else ""
    note = f"({footnotes.index(cell.note) + 1})" if cell.note else ""
    return " ".join(part for part in (shown + mark, _below(cell), note) if part)


def _below(cell: Cell) -> str:
    """An interval has brackets of its own; anything else gets some."""
    if not cell.below:
        return ""
    return _plain(cell.below) if _INTERVAL.fullmatch(cell.below) else f"({escape(cell.below)})"


def _plain(text: str) -> Markdown:
    return Markdown(text) if _INTERVAL.fullmatch(text) else escape(text)


def _header(columns: Sequence[Column]) -> list[str]:
    labels = [column.label for column in columns]
    return [
        escape(f"{column.label} ({column.group})" if column.group and labels.count(column.label) > 1 else column.label)
        for column in columns
    ]


def _groups(columns: Sequence[Column]) -> list[str]:
    """Which columns belong together, where their headings do not say it."""
    labels = [column.label for column in columns]
    if len(labels) != len(set(labels)):
        return []
    runs = [(name, [column.label for column in members]) for name, members in groupby(columns, key=lambda column: column.group)]
    return [f"{name}: {', '.join(members)}" for name, members in runs if name]
