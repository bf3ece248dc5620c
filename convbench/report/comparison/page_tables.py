"""Tables as the page's template writes them: headings in rows, footnotes numbered, keys that columns sort by."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from convbench.report.comparison.table import Cell, Column, Table

_LONG = 32
"""Texts of more characters are broken into lines."""


@dataclass(frozen=True, slots=True)
class Heading:
    """One heading; ``scope`` is ``col``, or ``colgroup`` over several columns."""

    label: str
    scope: str = "col"
    colspan: int = 1
    rowspan: int = 1
    style: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class PageCell:
    """One cell.

    Attributes:
        tag: ``th`` for the first of a row.
        style: Classes.
        text: What stands there.
        order: What it is sorted by; empty where there is no value.
        search: What a filter looks through.
        below: The smaller line.
        mark: Raised behind the text.
        marked: Whether some cell of the column has a mark, so that all keep room for one and numbers stay aligned.
        note: The footnote, for hovering.
        footnote: Its number; 0 for none.
        strong: The best of its column.
        muted: Greyed.
    """

    tag: str
    style: str
    text: str
    order: str
    search: str
    below: str
    mark: str
    marked: bool
    note: str
    footnote: int
    strong: bool
    muted: bool


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table, its parts in the order of the page. ``marks`` is the most letters that a mark has."""

    id: str
    caption: str
    head: tuple[tuple[Heading, ...], ...]
    body: tuple[tuple[PageCell, ...], ...]
    footnotes: tuple[str, ...]
    notes: tuple[str, ...]
    marks: int


def page_table(table: Table) -> PageTable:
    """The table for the template."""
    footnotes = tuple(dict.fromkeys(cell.note for row in table.rows for cell in row if cell.note))
    marked = [any(row[place].mark for row in table.rows) for place in range(len(table.columns))]

    def shown(place: int, column: Column, cell: Cell) -> PageCell:
        number = footnotes.index(cell.note) + 1 if cell.note else 0
        order = cell.text if column.kind == "text" else "" if cell.value is None else repr(float(cell.value))
        styles = [column.kind, *(["muted"] if cell.muted else []), *(["long"] if len(cell.text) > _LONG else [])]
        return PageCell(
            tag="td" if place else "th",
            style=" ".join(styles),
            text=cell.text,
            order=order,
            search=f"{cell.text} {cell.below}".strip(),
            below=cell.below,
            mark=cell.mark,
            marked=marked[place],
            note=cell.note,
            footnote=number,
            strong=cell.strong,
            muted=cell.muted,
        )

    body = tuple(
        tuple(shown(place, column, cell) for place, (column, cell) in enumerate(zip(table.columns, row, strict=True))) for row in table.rows
    )
    marks = max((len(cell.mark) for row in table.rows for cell in row), default=0)
    return PageTable(table.id, table.caption, _head(table.columns), body, footnotes, table.notes, marks)


def _head(columns: tuple[Column, ...]) -> tuple[tuple[Heading, ...], ...]:
    """One row of headings, or two where columns stand in groups."""
    if not any(column.group for column in columns):
        return (tuple(_heading(column, first=place == 0) for place, column in enumerate(columns)),)
    upper: list[Heading] = []
    lower: list[Heading] = []
    for group, members in groupby(enumerate(columns), key=lambda placed: placed[1].group):
        held = [(place, column) for place, column in members]
        if group:
            upper.append(Heading(group, "colgroup", len(held), style="colgroup"))
            lower += [_heading(column, first=place == 0) for place, column in held]
        else:
            upper += [_heading(column, first=place == 0, rowspan=2) for place, column in held]
    return tuple(upper), tuple(lower)


def _heading(column: Column, *, first: bool, rowspan: int = 1) -> Heading:
    style = f"{column.kind} system" if first else column.kind  # what names the row stays in sight when the rest scrolls
    return Heading(column.label, rowspan=rowspan, style=style, title=column.title)
