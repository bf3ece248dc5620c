"""Tables as CSV: full precision, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from io import StringIO

from convbench.report.comparison.table import Cell, Column, Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(table: Table) -> str:
    """A header and a row each; values in full precision, fractions as in ``results.json``.

    Columns whose cells have a second line or a mark are followed by one for it. A text that a spreadsheet would take for a formula gets an
    apostrophe before it.
    """
    columns = (
        list(zip(table.columns, zip(*table.rows, strict=True), strict=True)) if table.rows else [(column, ()) for column in table.columns]
    )
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([text for column, cells in columns for text in _header(column, cells)])
    for place in range(len(table.rows)):
        writer.writerow([text for column, cells in columns for text in _fields(column, cells, cells[place])])
    return out.getvalue()


def _header(column: Column, cells: tuple[Cell, ...]) -> list[str]:
    name = _safe(f"{column.group}: {column.label}" if column.group else column.label)
    below = "interval" if column.kind == "number" else "role"
    return [name, *([f"{name} {below}"] if _any_below(cells) else []), *([f"{name} mark"] if _any_mark(cells) else [])]


def _fields(column: Column, cells: tuple[Cell, ...], cell: Cell) -> list[str]:
    value = repr(cell.value) if column.kind == "number" and cell.value is not None else _safe(cell.text)
    return [value, *([_safe(cell.below)] if _any_below(cells) else []), *([_safe(cell.mark)] if _any_mark(cells) else [])]


def _any_below(cells: tuple[Cell, ...]) -> bool:
    return any(cell.below for cell in cells)


def _any_mark(cells: tuple[Cell, ...]) -> bool:
    return any(cell.mark for cell in cells)


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
