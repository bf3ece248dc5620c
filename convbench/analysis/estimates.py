"""Means with clustered intervals, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.intervals import ends_of, percentile_interval
from convbench.analysis.resampling import Resampling, bootstrap_means

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over turns.

    Attributes:
        value: The mean; None where no turn has a value.
        interval: Percentile interval, conversations resampled; None with fewer than two conversations.
        n_turns: Turns with a value.
        n_conversations: Their conversations.
    """

    value: float | None
    interval: tuple[float, float] | None
    n_turns: int
    n_conversations: int


def estimated_columns(columns: Sequence[NDArray[np.float64]], clusters: Clusters, plan: Resampling) -> list[Estimate]:
    """``estimated_means`` of any number of columns, none included; each has the shape (turns,)."""
    return estimated_means(np.stack(columns, axis=1), clusters, plan) if columns else []


def estimated_means(values: NDArray[np.float64], clusters: Clusters, plan: Resampling) -> list[Estimate]:
    """The mean of every column, with its interval.

    Args:
        values: Shape (turns, columns); NaN where a turn has no value.
        clusters: The turns' conversations.
        plan: Resamples, seed and level.
    """
    sums, counts = clusters.totals(values)
    turns, conversations = counts.sum(axis=0), (counts > 0).sum(axis=0)
    intervals = percentile_interval(bootstrap_means(values, clusters, plan), plan.level)
    return [
        Estimate(
            value=float(sums[:, column].sum() / turns[column]) if turns[column] else None,
            interval=ends_of(intervals[column]) if conversations[column] > 1 else None,
            n_turns=int(turns[column]),
            n_conversations=int(conversations[column]),
        )
        for column in range(values.shape[1])
    ]
