"""What the commands of ``convbench runs`` print: tables and sizes."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """The lines of a table whose first row is its head; nothing that a terminal would obey is in them.

    Args:
        rows: Cells of each row.
        right: Columns that are set to the right.
    """
    from convbench.report.terminal import padded, printable, width_of

    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(width_of(cell) for cell in column) for column in zip(*shown, strict=True)]
    lines = []
    for row in shown:
        cells = [(cell, width, place in right) for place, (cell, width) in enumerate(zip(row, widths, strict=True))]
        lines.append(
            "  ".join(" " * (width - width_of(cell)) + cell if to_right else padded(cell, width) for cell, width, to_right in cells)
        )
    return [line.rstrip() for line in lines]


def size_of(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
