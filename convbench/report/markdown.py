"""Writing Markdown: text is escaped unless it says that it is Markdown, and tables line up when read raw."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from convbench.report.tables import Cell, ColumnGroup, DatasetTable, Row

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
_BLOCK_START = re.compile(r"^(?:\d+(?=[.)](?:\s|$))|(?=[-+#]+(?:\s|$)))")


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def escape(value: object) -> Markdown:
    """A value as text on one line that Markdown, GitHub's included, shows as it is; ``Markdown`` is left alone.

    An underscore inside a word means nothing to Markdown and stays readable.
    """
    if isinstance(value, Markdown):
        return value
    line = _SPECIAL.sub(r"\\\g<0>", " ".join(str(value).split()).translate(_ENTITIES))
    return Markdown(_BLOCK_START.sub(r"\g<0>\\", line))


def code(text: str) -> Markdown:
    """A code span on one line, fenced with more backticks than the text holds in a row."""
    line = " ".join(text.split())
    fence = "`" * (1 + max((len(ticks) for ticks in re.findall("`+", line)), default=0))
    pad = " " if "`" in line else ""
    return Markdown(f"{fence}{pad}{line}{pad}{fence}")


def systems_table(table: DatasetTable) -> Markdown:
    """The systems of a table and their conditions."""
    return aligned_table(["System", "Conditions"], [[_system(row), escape("; ".join(row.conditions))] for row in table.rows])


def scores_table(table: DatasetTable, group: ColumnGroup) -> Markdown:
    """The scores of a table in one group of columns."""
    index = table.groups.index(group)
    header = ["System", *(escape(column.label + ("" if column.higher_is_better else " ↓")) for column in group.columns)]
    return aligned_table(header, [[_system(row), *map(_score, row.cells[index])] for row in table.rows])


def costs_table(table: DatasetTable) -> Markdown:
    """What the systems of a table cost."""
    header = ["System", *(escape(label) for group in table.cost_groups for label in group.full_labels)]
    return aligned_table(header, [[_system(row), *(escape(text) for texts in row.costs for text in texts)] for row in table.rows])


def _system(row: Row) -> str:
    return f"*{escape(row.system)}* ({row.role})" if row.role else escape(row.system)


def _score(cell: Cell) -> str:
    value = f"**{cell.text}**" if cell.best else cell.text
    interval = [f"[{', '.join(cell.interval)}]"] if cell.interval else []
    return " ".join([value, *interval, *(f"({number})" for number in cell.notes)])


def aligned_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Markdown:
    """A table whose columns are padded to one width; the first is aligned left, numbers too, as their intervals differ in length."""
    widths = [max(map(len, column)) for column in zip_longest(header, *rows, fillvalue="")]
    lines = [header, ["-" * width for width in widths], *rows]
    return Markdown(
        "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines)
    )
