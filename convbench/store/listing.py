"""The rows of all runs in a place: read as far as they can be, chosen and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from convbench.errors import ConvbenchError, UsageError
from convbench.progress import progress_bar
from convbench.registry import did_you_mean
from convbench.store.places import StoredRun
from convbench.store.row import RunRow, read_row

ORDERS = ("name", "system", "dataset", "status", "date", "size", "turns")
"""What rows can be sorted by, measures apart: dates newest first, sizes and turns greatest first."""

_Key: TypeAlias = tuple[bool, str | float]


@dataclass(frozen=True, slots=True)
class Listing:
    """The rows that could be read, and one line on each run folder that could not."""

    rows: tuple[RunRow, ...]
    broken: tuple[str, ...]


def read_rows(runs: Sequence[StoredRun]) -> Listing:
    """Reads the row of every run; one that is broken does not stop the rest."""
    rows, broken = [], []
    with progress_bar("reading runs", len(runs), unit="run") as advance:
        for run in runs:
            try:
                rows.append(read_row(run))
            except (ConvbenchError, OSError) as error:
                broken.append(str(error) if run.place in str(error) else f"{run.place}: {error}")
            advance(1)
    return Listing(tuple(rows), tuple(broken))


def chosen(
    rows: Sequence[RunRow], *, datasets: Sequence[str] = (), systems: Sequence[str] = (), statuses: Sequence[str] = ()
) -> list[RunRow]:
    """The rows of these datasets, systems and statuses; of all where none is named."""
    return [
        row
        for row in rows
        if (not datasets or row.dataset in datasets) and (not systems or row.system in systems) and (not statuses or row.status in statuses)
    ]


def refuse_unknown(rows: Sequence[RunRow], measure: str, others: Sequence[str] = (), advice: str = "Their measures: ") -> None:
    """Refuses a measure that none of the runs has.

    Args:
        rows: The runs; of none at all, nothing is refused.
        measure: Its name or key.
        others: What else could have been meant.
        advice: What to write instead; the measures that there are follow.

    Raises:
        UsageError: No run has it.
    """
    known = {text: None for row in rows for found in row.measures for text in (found.name, found.key)}
    if rows and measure not in known:
        names = ", ".join({found.name: None for row in rows for found in row.measures}) or "none"
        raise UsageError(f"no run has a measure {measure!r}.{did_you_mean(measure, [*others, *known])} {advice}{names}")


def in_order(rows: Sequence[RunRow], by: str) -> list[RunRow]:
    """Rows in an order of ``ORDERS``, or by a measure, the best first; those without a value last, equals by their names.

    Raises:
        UsageError: No run has such a measure.
    """
    if by not in ORDERS:
        refuse_unknown(rows, by, ORDERS, f"Sort by {', '.join(ORDERS)} or a measure: ")
    return sorted(rows, key=lambda row: (_key(row, by), row.run.name))


def _key(row: RunRow, by: str) -> _Key:
    if by in ("system", "dataset", "status", "name"):
        return False, {"system": row.system, "dataset": row.dataset, "status": row.status, "name": row.run.name}[by]
    if by == "size":
        return False, -row.run.bytes
    if by == "turns":
        return row.turns is None, -(row.turns or 0)
    if by == "date":
        return row.date is None, -row.date.timestamp() if row.date else 0.0
    measure = row.measure(by)
    if measure is None or measure.value is None:
        return True, 0.0
    return False, -measure.value if measure.higher_is_better else measure.value


def usual_columns(rows: Sequence[RunRow]) -> list[str]:
    """The measures that a table shows where none is named: of rankings and of responses the first that systems may be ordered by."""
    columns = []
    for side in ("ranking", "response"):
        first = next((measure.name for row in rows for measure in row.measures if measure.side == side and measure.ranks), None)
        if first is not None:
            columns.append(first)
    return columns
