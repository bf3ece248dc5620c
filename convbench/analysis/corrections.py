"""Corrections for many tests: Holm for the declared family, Benjamini-Hochberg for exploratory slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values that keep the chance of any false claim in the family (Holm 1979).

    Args:
        p_values: One a test.

    Returns:
        Adjusted p-values, in the order given.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    steps = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    return _restored(np.minimum(steps, 1.0), order)


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values that keep the share of false claims among the claims (Benjamini and Hochberg 1995).

    Args:
        p_values: One a test.

    Returns:
        Adjusted p-values, in the order given.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    steps = given[order] * len(given) / np.arange(1, len(given) + 1)
    return _restored(np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0), order)


def _restored(ordered: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    adjusted = np.empty_like(ordered)
    adjusted[order] = ordered
    return adjusted
