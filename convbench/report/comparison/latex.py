"""Tables for papers: LaTeX that needs ``booktabs`` and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, groupby, takewhile
from typing import TypeVar

from convbench.comparison.model import Comparison
from convbench.report.comparison.latex_characters import escape
from convbench.report.comparison.sections import sections_of
from convbench.report.comparison.table import Cell, Column, Table

_Item = TypeVar("_Item")

_LINES = 56
"""Lines of one float: what fits on a page in small print."""

_POINTS, _PER_CHARACTER, _BETWEEN = 500.0, 3.9, 4.0
"""Width of a page of two columns, and roughly that of a character and of the space between columns in small print. A wider table goes on
in another float, which repeats the columns that name the rows."""

_WIDE, _VERY_WIDE = 7, 10
"""Columns from which on the print is smaller, and again smaller."""

_LONG = 40
"""Characters from which on a text column breaks its lines."""


def latex_text(table: Table) -> str:
    r"""One table as a float, or several where it is longer or wider than a page: caption, label ``tab:ID``, groups over columns, notes.

    Intervals stand in a smaller line under their row; marks and footnotes are raised. Unicode is kept. A table of seven or more columns
    is a ``table*``, which two-column papers set over the whole page.
    """
    footnotes = list(dict.fromkeys(cell.note for row in table.rows for cell in row if cell.note))
    parts = [(places, rows) for places in _sheets(table) for rows in _pages(table.rows)]
    return "\n".join(
        _float(
            replace(table, columns=_chosen(table.columns, places), rows=tuple(_chosen(row, places) for row in rows)),
            footnotes,
            number,
            len(parts),
        )
        for number, (places, rows) in enumerate(parts)
    )


def latex_tables(comparison: Comparison) -> dict[str, str]:
    """File name -> content, for every table of the report."""
    return {
        f"{table.id}.tex": latex_text(table)
        for compared in comparison.tasks
        for section in sections_of(compared, comparison.settings)
        for table in section.tables
    }


def _sheets(table: Table) -> list[list[int]]:
    """Places of the columns of each float: those that name the rows, the leading text columns, are in all of them."""
    widths = [_width(table, place) for place in range(len(table.columns))]
    keys = list(takewhile(lambda place: table.columns[place].kind == "text", range(len(widths)))) or [0]
    taken = sum(widths[place] for place in keys)
    sheets: list[list[int]] = [[*keys]]
    room = _POINTS - taken
    for place in range(len(keys), len(widths)):
        if widths[place] > room and len(sheets[-1]) > len(keys):
            sheets.append([*keys])
            room = _POINTS - taken
        sheets[-1].append(place)
        room -= widths[place]
    return sheets


def _width(table: Table, place: int) -> float:
    """Roughly how wide a column is, in points."""
    cells = [row[place] for row in table.rows]
    group = table.columns[place].group
    above = len(group) / max(sum(column.group == group for column in table.columns), 1)
    texts = [len(table.columns[place].label), *(len(cell.text + cell.mark) for cell in cells)]
    longest = max([*texts, above, *(0.75 * len(cell.below) for cell in cells)])
    return min(longest, _LONG) * _PER_CHARACTER + _BETWEEN


def _pages(rows: Sequence[tuple[Cell, ...]]) -> list[list[tuple[Cell, ...]]]:
    """Rows page by page; one page for none."""
    pages: list[list[tuple[Cell, ...]]] = [[]]
    lines = 0
    for row in rows:
        own = 2 if any(cell.below for cell in row) else 1
        if pages[-1] and lines + own > _LINES:
            pages.append([])
            lines = 0
        pages[-1].append(row)
        lines += own
    return pages


def _chosen(items: Sequence[_Item], places: Sequence[int]) -> tuple[_Item, ...]:
    return tuple(items[place] for place in places)


def _float(table: Table, footnotes: Sequence[str], number: int, parts: int) -> str:
    wide, very_wide = len(table.columns) >= _WIDE, len(table.columns) >= _VERY_WIDE
    name = "table*" if wide else "table"
    continued = f" (part {number + 1} of {parts})" if parts > 1 else ""
    label = re.sub(r"[^A-Za-z0-9-]", "-", table.id) + (f"-{number + 1}" if number else "")
    lines = [
        rf"\begin{{{name}}}[tbp]",
        r"\centering",
        rf"\caption{{{escape(table.caption)}{continued}}}",
        rf"\label{{tab:{label}}}",
        r"\scriptsize" if very_wide else r"\footnotesize" if wide else r"\small",
        rf"\setlength{{\tabcolsep}}{{{2 if very_wide else 3 if wide else 5}pt}}",
        rf"\begin{{tabular}}{{@{{}}{_alignment(table)}@{{}}}}",
        r"\toprule",
        *_head(table.columns),
        r"\midrule",
        *(line for row in table.rows for line in _row(row, footnotes)),
        r"\bottomrule",
        r"\end{tabular}",
        *(_under(table, footnotes) if number == parts - 1 else []),
        rf"\end{{{name}}}",
    ]
    return "\n".join([*lines, ""])


def _under(table: Table, footnotes: Sequence[str]) -> list[str]:
    """Notes and footnotes as one small paragraph."""
    notes = [
        *map(escape, table.notes),
        *(rf"\textsuperscript{{{number}}}~{escape(note)}" for number, note in enumerate(footnotes, start=1)),
    ]
    return [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {' '.join(notes)}}}"] if notes else []


def _alignment(table: Table) -> str:
    """Numbers to the right, text to the left; long text breaks its lines, all such columns sharing two thirds of the width."""
    long = [column.kind == "text" and any(len(row[place].text) > _LONG for row in table.rows) for place, column in enumerate(table.columns)]
    width = rf"p{{{0.66 / max(sum(long), 1):.2f}\linewidth}}"
    return "".join(width if breaks else "r" if column.kind == "number" else "l" for column, breaks in zip(table.columns, long, strict=True))


def _head(columns: Sequence[Column]) -> list[str]:
    """A row of groups with rules under them, where there are groups, and the row of headings."""
    lines = []
    if any(column.group for column in columns):
        groups = [(name, len(list(members))) for name, members in groupby(columns, key=lambda column: column.group)]
        ends = list(accumulate(width for _, width in groups))
        lines.append(_line([rf"\multicolumn{{{width}}}{{c}}{{{escape(name)}}}" if name else " & " * (width - 1) for name, width in groups]))
        rules = [rf"\cmidrule(lr){{{end - width + 1}-{end}}}" for (name, width), end in zip(groups, ends, strict=True) if name]
        lines.append(" ".join(rules))
    heading = [
        escape(column.label) if column.kind == "text" else rf"\multicolumn{{1}}{{c}}{{{escape(column.label)}}}" for column in columns
    ]
    return [*lines, _line(heading)]


def _row(row: Sequence[Cell], footnotes: Sequence[str]) -> list[str]:
    """The values, and under them the second lines where there are any."""
    lines = [_line([_cell(cell, footnotes) for cell in row])]
    if any(cell.below for cell in row):
        lines.append(_line([rf"{{\tiny {escape(cell.below)}}}" if cell.below else "" for cell in row]))
    return lines


def _line(cells: Sequence[str]) -> str:
    """A row of the table; one that begins with a bracket or a star would be read as an argument of the row before."""
    text = " & ".join(cells)
    return (rf"{{}}{text}" if text.lstrip().startswith(("[", "*")) else text) + r" \\"


def _cell(cell: Cell, footnotes: Sequence[str]) -> str:
    text = escape(cell.text)
    shown = rf"\textbf{{{text}}}" if cell.strong else rf"\textit{{{text}}}" if cell.muted else text
    raised = [*([escape(cell.mark)] if cell.mark else []), *([str(footnotes.index(cell.note) + 1)] if cell.note else [])]
    return rf"{shown}\textsuperscript{{{','.join(raised)}}}" if raised else shown
