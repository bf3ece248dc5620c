"""Comparisons as data frames, for notebooks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from convbench.comparison.model import Comparison


def values_frame(comparison: Comparison) -> pd.DataFrame:
    """A row an entrant and measure: task, system, measure, value, interval ends (``low``, ``high``), turns, tie group."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for compared in comparison.tasks:
        for measured in compared.measured:
            for label, value in measured.systems.items():
                low, high = value.estimate.interval or (None, None)
                rows.append(
                    {
                        "task": compared.task.id,
                        "system": label,
                        "measure": measured.measure.key,
                        "declared": measured.measure.declared,
                        "value": value.estimate.value,
                        "low": low,
                        "high": high,
                        "n_turns": value.estimate.n_turns,
                        "n_conversations": value.estimate.n_conversations,
                        "n_missing": value.n_missing,
                        "icc": value.correlation,
                        "group": value.group,
                    }
                )
    return pd.DataFrame(rows)


def contrasts_frame(comparison: Comparison) -> pd.DataFrame:
    """A row a pair and measure: the paired difference with everything that is known of it, first minus second."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for compared in comparison.tasks:
        for measured in compared.measured:
            for contrast in measured.contrasts:
                result = asdict(contrast.result)
                ends: dict[str, float | None] = {}
                for name in ("interval", "bca"):
                    low, high = result.pop(name) or (None, None)
                    ends |= {f"{name}_low": low, f"{name}_high": high}
                rows.append(
                    {
                        "task": compared.task.id,
                        "measure": measured.measure.key,
                        "declared": measured.measure.declared,
                        "first": contrast.first,
                        "second": contrast.second,
                        **result,
                        **ends,
                        "p_adjusted": contrast.adjusted,
                        "better": contrast.better,
                    }
                )
    return pd.DataFrame(rows)


def slices_frame(comparison: Comparison) -> pd.DataFrame:
    """A row an entrant, measure and slice: value, interval ends, turns, and whether the slice is under the floor."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for compared in comparison.tasks:
        for table in compared.slices:
            for row in table.rows:
                for key, systems in row.systems.items():
                    for label, estimate in systems.items():
                        low, high = estimate.interval or (None, None)
                        rows.append(
                            {
                                "task": compared.task.id,
                                "slicing": table.name,
                                "slice": row.value,
                                "system": label,
                                "measure": key,
                                "value": estimate.value,
                                "low": low,
                                "high": high,
                                "n_turns": estimate.n_turns,
                                "n_conversations": estimate.n_conversations,
                                "small": row.small,
                            }
                        )
    return pd.DataFrame(rows)
