"""Intervals that respect conversations: turns of one conversation are not independent, so whole conversations are resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

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
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    if len(names) < 2:
        return None
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64), minlength=len(names))
    counts = np.bincount(index, minlength=len(names)).astype(np.float64)
    draws = np.random.default_rng(seed).integers(0, len(names), size=(resamples, len(names)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    return _quantiles(means, level)


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
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    if len(names) < 2:
        return None
    sums = np.zeros((len(names), statistics.shape[1]))
    np.add.at(sums, index, statistics)
    draws = np.random.default_rng(seed).integers(0, len(names), size=(resamples, len(names)))
    return _quantiles(np.array([combine(sums[drawn].sum(axis=0)) for drawn in draws]), level)


def _quantiles(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
