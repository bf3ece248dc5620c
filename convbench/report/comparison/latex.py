"""Tables for papers: LaTeX that needs ``booktabs`` and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, groupby, takewhile
from math import ceil
from typing import NamedTuple, TypeVar

from convbench.report.comparison.latex_characters import escape
from convbench.report.comparison.table import Cell, Column, Table

_Item = TypeVar("_Item")

_LINES = 44
"""Lines of one float: what fits on a page in small print, under a caption and a heading."""

_LONG = 40
"""Characters from which on a text column breaks its lines."""


_WIDEST = 0.31
"""Share of the width that as many characters take in the smallest print."""


class _Print(NamedTuple):
    """A kind of float and its print: roughly how wide a character is in it, in points, and the page."""

    name: str
    size: str
    separation: int
    character: float
    page: float


_PRINTS = (
    _Print("table", r"\small", 5, 4.7, 240.0),
    _Print("table*", r"\footnotesize", 3, 4.3, 500.0),
    _Print("table*", r"\scriptsize", 2, 3.9, 500.0),
)
"""The first that is wide enough is taken. A table that is wider than the last goes on in another float, which repeats the columns that name
the rows."""


def latex_text(table: Table) -> str:
    r"""One table as a float, or several where it is longer or wider than a page: caption, label ``tab:ID``, groups over columns, notes.

    Intervals stand in a smaller line under their row; marks and footnotes are raised. Unicode is kept. A table that is wider than
    one column is a ``table*``, which two-column papers set over the whole page.
    """
    footnotes = list(dict.fromkeys(cell.note for row in table.rows for cell in row if cell.note))
    chosen = next((print_ for print_ in _PRINTS if sum(_widths(table, print_)) <= print_.page), _PRINTS[-1])
    parts = [(places, rows) for places in _sheets(table, chosen) for rows in _pages(table)]
    return "\n".join(
        _float(
            replace(table, columns=_chosen(table.columns, places), rows=tuple(_chosen(row, places) for row in rows)),
            chosen,
            footnotes,
            number,
            len(parts),
        )
        for number, (places, rows) in enumerate(parts)
    )


def _sheets(table: Table, chosen: _Print) -> list[list[int]]:
    """Places of the columns of each float: those that name the rows, the leading text columns, are in all of them."""
    widths = _widths(table, chosen)
    keys = list(takewhile(lambda place: table.columns[place].kind == "text", range(len(widths)))) or [0]
    taken = sum(widths[place] for place in keys)
    sheets: list[list[int]] = [[*keys]]
    room = chosen.page - taken
    for place in range(len(keys), len(widths)):
        if widths[place] > room and len(sheets[-1]) > len(keys):
            sheets.append([*keys])
            room = chosen.page - taken
        sheets[-1].append(place)
        room -= widths[place]
    return sheets


def _widths(table: Table, print_: _Print) -> list[float]:
    """Roughly how wide the columns are, in points."""
    return [_characters(table, place) * print_.character + 2 * print_.separation for place in range(len(table.columns))]


def _characters(table: Table, place: int) -> float:
    """Of the widest line of a column; long text breaks its lines."""
    cells = [row[place] for row in table.rows]
    group = table.columns[place].group
    above = len(group) / max(sum(column.group == group for column in table.columns), 1)
    texts = [len(table.columns[place].label), *(len(cell.text + cell.mark) for cell in cells)]
    longest = max([*texts, above, *(0.75 * len(cell.below) for cell in cells)])
    return min(longest, _LONG)


def _pages(table: Table) -> list[list[tuple[Cell, ...]]]:
    """Rows page by page; one page for none."""
    per_line = _LONG * _share(table) / _WIDEST
    pages: list[list[tuple[Cell, ...]]] = [[]]
    lines = 0
    for row in table.rows:
        broken = (ceil(len(row[place].text) / per_line) for place in _breaking(table))
        own = max([1, *broken]) + any(bool(cell.below) for cell in row)
        if pages[-1] and lines + own > _LINES:
            pages.append([])
            lines = 0
        pages[-1].append(row)
        lines += own
    return pages


def _chosen(items: Sequence[_Item], places: Sequence[int]) -> tuple[_Item, ...]:
    return tuple(items[place] for place in places)


def _float(table: Table, chosen: _Print, footnotes: Sequence[str], number: int, parts: int) -> str:
    continued = f" (part {number + 1} of {parts})" if parts > 1 else ""
    label = re.sub(r"[^A-Za-z0-9-]", "-", table.id) + (f"-{number + 1}" if number else "")
    lines = [
        rf"\begin{{{chosen.name}}}[tbp]",
        r"\centering",
        rf"\caption{{{escape(table.caption)}{continued}}}",
        rf"\label{{tab:{label}}}",
        chosen.size,
        rf"\setlength{{\tabcolsep}}{{{chosen.separation}pt}}",
        rf"\begin{{tabular}}{{@{{}}{_alignment(table)}@{{}}}}",
        r"\toprule",
        *_head(table.columns),
        r"\midrule",
        *(line for row in table.rows for line in _row(row, footnotes)),
        r"\bottomrule",
        r"\end{tabular}",
        *(_under(table, footnotes) if number == parts - 1 else []),
        rf"\end{{{chosen.name}}}",
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
    """Numbers to the right, text to the left; long text breaks its lines."""
    breaking, width = _breaking(table), rf"p{{{_share(table):.2f}\linewidth}}"
    return "".join(width if place in breaking else "r" if column.kind == "number" else "l" for place, column in enumerate(table.columns))


def _breaking(table: Table) -> list[int]:
    """Places of the columns that break their lines."""
    text = [place for place, column in enumerate(table.columns) if column.kind == "text"]
    return [place for place in text if any(len(row[place].text) > _LONG for row in table.rows)]


def _share(table: Table) -> float:
    """Of the width, for a column that breaks its lines: all such columns have two thirds of it at most."""
    return min(_WIDEST, 0.66 / max(len(_breaking(table)), 1))


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
