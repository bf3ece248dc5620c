"""How alike the turns of one conversation are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EQUAL = 1e-12
"""Values that differ by less are equal but for rounding."""


def intraclass_correlation(values: NDArray[np.float64], index: NDArray[np.intp]) -> float | None:
    """Intra-conversation correlation: the one-way analysis-of-variance estimator for groups of unequal size (Donner 1986).

    Args:
        values: One a turn, none NaN; shape (turns,).
        index: The conversation of each turn, any integers; shape (turns,).

    Returns:
        At most 1; negative where turns of one conversation differ more than those of different ones; None where it is not defined: fewer
        than two conversations, a turn each, or no spread.
    """
    _, places = np.unique(index, return_inverse=True)
    sizes = np.bincount(places).astype(np.float64)
    groups, turns = len(sizes), len(values)
    if groups < 2 or turns <= groups or np.ptp(values) <= _EQUAL:
        return None
    means = np.bincount(places, weights=values) / sizes
    between = float(np.sum(sizes * (means - values.mean()) ** 2)) / (groups - 1)
    within = float(np.sum((values - means[places]) ** 2)) / (turns - groups)
    usual = (turns - float(np.sum(sizes**2)) / turns) / (groups - 1)
    total = between + (usual - 1) * within
    return (between - within) / total
