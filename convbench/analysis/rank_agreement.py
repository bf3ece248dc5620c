"""Whether two collections order the same systems alike: Kendall's tau-b, with an interval that resamples conversations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.intervals import ends_of, percentile_interval
from convbench.analysis.resampling import Resampling, bootstrap_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW = 5
"""Of fewer systems tau can take too few values to say much: of four it has at most seven."""

_EQUAL = 1e-12
"""Means that differ by less are equal but for rounding."""

_CELLS = 2_000_000
"""Signs of pairs held at once."""


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """How alike two orders of the same systems are.

    Attributes:
        tau: Kendall's tau-b, 1 for the same order and -1 for the opposite one; None where it is not defined: fewer than two systems, or all
            of them equal on one side.
        interval: Percentile interval, conversations resampled, the same ones on both sides; None with fewer than two conversations or
            where tau is not defined. Resamples in which it is not defined are left out.
        systems: How many systems.
        same: Pairs in the same order on both sides.
        opposite: Pairs in opposite orders.
        tied: Pairs that are equal on a side.
        n_conversations: Conversations that were resampled.
    """

    tau: float | None
    interval: tuple[float, float] | None
    systems: int
    same: int
    opposite: int
    tied: int
    n_conversations: int


def kendall_tau_b(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kendall's tau-b (Kendall 1945) of two orders, many at a time.

    Pairs in the same order less pairs in opposite ones, over the geometric mean of the pairs that are not tied on the one side and on the
    other.

    Args:
        first: Values of systems on one side; shape (samples, systems). NaN makes its sample NaN.
        second: On the other; the same shape.

    Returns:
        Shape (samples,); NaN where it is not defined.
    """
    lower, upper = np.triu_indices(first.shape[1], k=1)
    found = np.full(len(first), np.nan)
    if not len(lower):
        return found
    block = max(_CELLS // len(lower), 1)
    for start in range(0, len(first), block):
        ours, theirs = (_signs(values[start : start + block], lower, upper) for values in (first, second))
        untied = np.sqrt((ours**2).sum(axis=1) * (theirs**2).sum(axis=1))
        np.divide((ours * theirs).sum(axis=1), untied, out=found[start : start + block], where=untied > 0)
    return np.asarray(np.clip(found, -1.0, 1.0), dtype=np.float64)


def rank_agreement(first: NDArray[np.float64], second: NDArray[np.float64], clusters: Clusters, plan: Resampling) -> RankAgreement:
    """How alike the means of the same systems are ordered on two sides.

    Args:
        first: Values of turns on one side; shape (turns, systems); NaN where a turn has none.
        second: On the other: the same turns and systems.
        clusters: The turns' conversations.
        plan: Resamples, seed and level.
    """
    systems = first.shape[1]
    both = np.hstack([first, second])
    conversations = int((clusters.totals(both)[1] > 0).all(axis=1).sum()) if systems else 0
    if systems < 2:
        return RankAgreement(None, None, systems, 0, 0, 0, conversations)
    sums, counts = (part.sum(axis=0, keepdims=True) for part in clusters.totals(both))
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    signs = [_signs(side, *np.triu_indices(systems, k=1))[0] for side in (means[:, :systems], means[:, systems:])]
    product = signs[0] * signs[1]
    tau = float(kendall_tau_b(means[:, :systems], means[:, systems:])[0])
    defined = not np.isnan(tau)
    interval = None
    if defined and conversations > 1:
        samples = bootstrap_means(both, clusters, plan)
        taus = kendall_tau_b(samples[:, :systems], samples[:, systems:])
        interval = ends_of(percentile_interval(taus[:, None], plan.level)[0])
    return RankAgreement(
        tau=tau if defined else None,
        interval=interval,
        systems=systems,
        same=int((product > 0).sum()),
        opposite=int((product < 0).sum()),
        tied=int((product == 0).sum()),
        n_conversations=conversations,
    )


def _signs(values: NDArray[np.float64], lower: NDArray[np.intp], upper: NDArray[np.intp]) -> NDArray[np.float64]:
    """Which of the two of every pair is higher: 1, -1, or 0 where they are equal but for rounding; shape (samples, pairs)."""
    gaps = values[:, lower] - values[:, upper]
    return np.where(np.abs(gaps) <= _EQUAL, 0.0, np.sign(gaps))
