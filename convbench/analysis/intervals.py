"""Intervals from bootstrap samples: percentile, and bias-corrected and accelerated (BCa; Efron 1987)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_EQUAL = 1e-9
"""A sample this close to the estimate, in standard errors, equals it but for rounding."""


def percentile_interval(samples: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Both ends by quantiles of the samples.

    Args:
        samples: Shape (resamples, columns); NaN samples are left out.
        level: Coverage.

    Returns:
        Shape (columns, 2).
    """
    return _quantiles(samples, np.broadcast_to([(1 - level) / 2, (1 + level) / 2], (samples.shape[1], 2)))


def ends_of(interval: NDArray[np.float64]) -> tuple[float, float]:
    """The two ends of one column's interval as plain numbers; shape (2,)."""
    return float(interval[0]), float(interval[1])


def bca_interval(
    estimates: NDArray[np.float64], samples: NDArray[np.float64], jackknife: NDArray[np.float64], level: float
) -> NDArray[np.float64]:
    """Both ends by quantiles that are corrected for bias and skewness.

    Args:
        estimates: The statistic of the data; shape (columns,).
        samples: Shape (resamples, columns); NaN samples are left out.
        jackknife: The statistic with each conversation left out; shape (conversations, columns).
        level: Coverage.

    Returns:
        Shape (columns, 2); the percentile interval where nothing can be corrected: all samples are equal or lie on one side of the
        estimate, or the jackknife is not defined.
    """
    from scipy.special import ndtr, ndtri

    pulls = jackknife.mean(axis=0) - jackknife
    spread = np.sum(pulls**2, axis=0)
    equal = _EQUAL * np.sqrt(spread)
    gaps = samples - estimates
    below = (np.sum(gaps < -equal, axis=0) + np.sum(gaps <= equal, axis=0)) / 2 / np.maximum(np.sum(~np.isnan(gaps), axis=0), 1)
    usable = (below > 0) & (below < 1) & (spread > 0)  # not where the spread is NaN
    bias = ndtri(np.where(usable, below, 0.5))
    acceleration = np.sum(pulls**3, axis=0) / (6 * np.where(spread > 0, spread, 1.0) ** 1.5)
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        shifted = bias + ndtri(tail)
        ends.append(np.where(usable, ndtr(bias + shifted / (1 - acceleration * shifted)), tail))
    return _quantiles(samples, np.stack(ends, axis=1))


def _quantiles(samples: NDArray[np.float64], chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles of each column at its own two chances; shape (columns, 2)."""
    ordered = np.sort(samples, axis=0)  # NaN goes last
    known = np.sum(~np.isnan(samples), axis=0)
    place = chances * np.maximum(known - 1, 0)[:, None]
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(known - 1, 0)[:, None])
    columns = np.arange(samples.shape[1])[:, None]
    lower, upper = ordered[low, columns], ordered[high, columns]
    return np.asarray(lower + (place - low) * (upper - lower))
