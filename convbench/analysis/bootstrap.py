"""Intervals that respect conversations: turns of one conversation are not independent, so whole conversations are resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.intervals import ends_of, percentile_interval
from convbench.analysis.resampling import Resampling, bootstrap_each, drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 2000


def clustered_interval(
    values: Sequence[float], clusters: Sequence[str], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean, resampling clusters with replacement.

    The statistic is the turn-weighted ratio estimator: sum of values over number of turns in the resample.

    Args:
        values: One value a turn.
        clusters: The conversation of each turn.
        level: Coverage.
        resamples: Bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        (low, high), or None with fewer than two clusters, where there is nothing to resample.
    """
    return clustered_intervals([values], clusters, level=level, resamples=resamples, seed=seed)[0]


def clustered_intervals(
    columns: Sequence[Sequence[float]], clusters: Sequence[str], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> list[tuple[float, float] | None]:
    """``clustered_interval`` of several measures of the same turns, bit for bit: the conversations are drawn once for all.

    Args:
        columns: Of each measure, one value a turn.
        clusters: The conversation of each turn.
        level: Coverage.
        resamples: Bootstrap samples.
        seed: Seed of the resampling.
    """
    conversations = Clusters.named(clusters)
    if len(conversations.names) < 2:
        return [None] * len(columns)
    values = [np.asarray(column, dtype=np.float64)[:, None] for column in columns]
    samples = bootstrap_each(values, conversations, Resampling(resamples, seed, level))
    return [ends_of(percentile_interval(each, level)[0]) for each in samples]


def clustered_interval_of(
    statistics: NDArray[np.float64],
    clusters: Sequence[str],
    combine: Callable[[NDArray[np.float64]], float],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The same interval for a value that is made of sums over turns (BLEU).

    Args:
        statistics: Turns × p counts.
        clusters: The conversation of each turn.
        combine: From the p sums of a resample to its value.
        level: Coverage.
        resamples: Bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        (low, high), or None with fewer than two clusters.
    """
    conversations = Clusters.named(clusters)
    if len(conversations.names) < 2:
        return None
    sums = conversations.sums(statistics)
    plan = Resampling(resamples, seed, level)
    samples = [combine(resample) for weights in drawn(len(sums), plan) for resample in weights @ sums]
    return ends_of(percentile_interval(np.array(samples)[:, None], level)[0])
