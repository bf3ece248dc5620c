"""Functions of two means, with intervals: computed on every bootstrap sample of both, so that their dependence is in the interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.estimates import Estimate, estimated_means
from convbench.analysis.intervals import ends_of, percentile_interval
from convbench.analysis.resampling import Resampling, bootstrap_means

if TYPE_CHECKING:
    from numpy.typing import NDArray


def differences_of_means(first: NDArray[np.float64], second: NDArray[np.float64], clusters: Clusters, plan: Resampling) -> list[Estimate]:
    """Mean of the first minus mean of the second, column by column, where the two are over different turns of one run.

    For paired values take ``estimated_means`` of their differences instead. Samples that hold no turn of one side are left out of the
    interval.

    Args:
        first: Shape (turns, columns); NaN where a turn has no value.
        second: Likewise.
        clusters: The turns' conversations.
        plan: Resamples, seed and level.

    Returns:
        Counts are of turns that stand on either side. No value where a side has no turn, no interval where a side has turns of fewer than
        two conversations.
    """
    columns = first.shape[1]
    both = np.concatenate([first, second], axis=1)
    sums, counts = clusters.totals(both)
    means = _divided(sums.sum(axis=0), counts.sum(axis=0))
    samples = bootstrap_means(both, clusters, plan)
    intervals = percentile_interval(samples[:, :columns] - samples[:, columns:], plan.level)
    of_first, of_second = counts[:, :columns] > 0, counts[:, columns:] > 0
    several = np.minimum(of_first.sum(axis=0), of_second.sum(axis=0)) > 1
    turns = (~np.isnan(first) | ~np.isnan(second)).sum(axis=0)
    conversations = (of_first | of_second).sum(axis=0)
    return [
        _estimate(
            means[column] - means[columns + column], intervals[column] if several[column] else None, turns[column], conversations[column]
        )
        for column in range(columns)
    ]


def ratios_of_means(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64], clusters: Clusters, plan: Resampling
) -> list[tuple[Estimate, Estimate]]:
    """Mean of the numerators over mean of the denominators, column by column, over the turns that have both.

    A ratio says nothing where its denominator may be 0: it is undefined (no value) where the interval of the denominator holds 0, or where
    there is no interval.

    Args:
        numerators: Shape (turns, columns); NaN where a turn has no value.
        denominators: Likewise.
        clusters: The turns' conversations.
        plan: Resamples, seed and level.

    Returns:
        (ratio, denominator) of each column.
    """
    lacking = np.isnan(numerators) | np.isnan(denominators)
    above, below = (np.where(lacking, np.nan, side) for side in (numerators, denominators))
    bases = estimated_means(below, clusters, plan)
    columns = above.shape[1]
    samples = bootstrap_means(np.concatenate([above, below], axis=1), clusters, plan)
    intervals = percentile_interval(_divided(samples[:, :columns], samples[:, columns:]), plan.level)
    ratios = _divided(_summed(above), _summed(below))  # over the same turns, so that the ratio of sums is that of means
    found = []
    for column, base in enumerate(bases):
        defined = base.interval is not None and not base.interval[0] <= 0 <= base.interval[1]
        ratio, interval = (ratios[column], intervals[column]) if defined else (np.nan, None)
        found.append((_estimate(ratio, interval, base.n_turns, base.n_conversations), base))
    return found


def _estimate(value: float, interval: NDArray[np.float64] | None, turns: int, conversations: int) -> Estimate:
    known = not np.isnan(value)
    ends = ends_of(interval) if known and interval is not None else None
    return Estimate(float(value) if known else None, ends, int(turns), int(conversations))


def _summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.nansum(values, axis=0))


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    usable = (below != 0) & ~np.isnan(below)
    return np.divide(above, below, out=np.full_like(above, np.nan), where=usable)
