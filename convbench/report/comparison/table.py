"""A table as every form of the report shows it: the page, Markdown, LaTeX, CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: What stands there, rounded.
        value: What it is sorted by, in full precision; None for text, or where there is nothing.
        below: A second, smaller line: an interval.
        mark: Behind the text, raised: tie-group letters, ``*`` for a significant difference.
        note: Why it is as it is; shown on hover and as a footnote.
        strong: The best of its column.
        muted: Greyed: under a floor, or not competing.
    """

    text: str
    value: float | None = None
    below: str = ""
    mark: str = ""
    note: str = ""
    strong: bool = False
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        label: Its heading.
        group: A heading over several columns; empty for none.
        kind: ``number`` is right-aligned and sorts by value, ``text`` by what stands there.
        title: A longer explanation (a signature, a direction).
    """

    label: str
    group: str = ""
    kind: Literal["text", "number"] = "number"
    title: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what belongs under it.

    Attributes:
        id: Unique in the report, fit for file names and anchors: ``topiocqa-mini-results``.
        caption: What it shows, in one sentence, with the unit.
        columns: Its columns; the first names the row.
        rows: Cells, as many as columns.
        notes: Sentences under it: how to read it, the minimum detectable difference, the correction.
    """

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a task's report.

    Attributes:
        id: Unique in the report, an anchor: ``topiocqa-mini-slices``.
        title: Its heading.
        statements: What it says, in sentences, the most important first.
        tables: Its tables.
        figures: Kinds of the pictures that stand in it (``report.figures``).
        collapsed: Whether the page shows it folded at first.
    """

    id: str
    title: str
    statements: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[str, ...] = ()
    collapsed: bool = False
