"""Resampling whole conversations: bootstrap samples of means, and sign flips of differences.

Turns of one conversation are not independent, so conversations are drawn, or flipped, with all their turns. Every column of one call sees
the same draws, so that any function of several means (a difference, a ratio) may be computed sample by sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.clusters import Clusters

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 2**22
"""Draws held in memory at a time (32 MiB)."""

EQUAL = 1e-12
"""Sums that differ by less than this share of the sum of absolute values are one value: their terms were added in another order."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How often and from which seed; reports record it.

    Attributes:
        resamples: B, the bootstrap samples and the sign flips.
        seed: Of both.
        level: Coverage of intervals.
    """

    resamples: int = 10_000
    seed: int = 0
    level: float = 0.95


def bootstrap_means(values: NDArray[np.float64], clusters: Clusters, plan: Resampling) -> NDArray[np.float64]:
    """Means over resampled conversations: the turn-weighted ratio estimator, sum of values over number of turns.

    Args:
        values: Shape (turns, columns); NaN where a turn has no value.
        clusters: The turns' conversations.
        plan: Resamples and seed.

    Returns:
        Shape (resamples, columns); NaN where a resample holds no turn with a value.
    """
    return bootstrap_each([values], clusters, plan)[0]


def bootstrap_each(tables: Sequence[NDArray[np.float64]], clusters: Clusters, plan: Resampling) -> list[NDArray[np.float64]]:
    """``bootstrap_means`` of each of several tables of the same turns, bit for bit; drawing takes longer than the means of one column.

    A product of more columns may add in another order, so each table is multiplied on its own.

    Args:
        tables: Each of shape (turns, its columns); NaN where a turn has no value.
        clusters: The turns' conversations.
        plan: Resamples and seed.

    Returns:
        For each table, shape (resamples, its columns).
    """
    totals = [clusters.totals(values) for values in tables]
    means: list[list[NDArray[np.float64]]] = [[] for _ in tables]
    for weights in drawn(len(clusters.names), plan):
        for found, (sums, counts) in zip(means, totals, strict=True):
            found.append(_ratio(weights @ sums, weights @ counts))
    return [np.concatenate(found) for found in means]


def jackknife_means(values: NDArray[np.float64], clusters: Clusters) -> NDArray[np.float64]:
    """Means with each conversation left out in turn.

    Args:
        values: Shape (turns, columns); NaN where a turn has no value.
        clusters: The turns' conversations.

    Returns:
        Shape (conversations, columns).
    """
    sums, counts = clusters.totals(values)
    return _ratio(sums.sum(axis=0) - sums, counts.sum(axis=0) - counts)


def sign_flip_p(differences: NDArray[np.float64], clusters: Clusters, plan: Resampling) -> NDArray[np.float64]:
    """Two-sided p-values of paired differences by randomisation: conversations swap the two systems' scores, all turns at once.

    ``p = (b + 1) / (B + 1)``, b being the flips whose absolute sum is at least that of the data, so that p is never 0 (Phipson and Smyth
    2010). Where the conversations can be flipped in no more than B ways, each way is taken once and p is exact.

    Args:
        differences: Shape (turns, columns); NaN where either system has no value.
        clusters: The turns' conversations.
        plan: Resamples and seed.

    Returns:
        Shape (columns,).
    """
    sums, _ = clusters.totals(differences)
    observed = np.abs(sums.sum(axis=0)) - EQUAL * np.nansum(np.abs(differences), axis=0)
    extreme, flips = np.zeros(sums.shape[1]), 0
    for signs in signs_of(len(sums), plan):
        extreme += (np.abs(signs @ sums) >= observed).sum(axis=0)
        flips += len(signs)
    return (extreme + 1.0) / (flips + 1.0)


def signs_of(clusters: int, plan: Resampling) -> Iterator[NDArray[np.float64]]:
    """Blocks of flips, shape (block, clusters): drawn, or all but the data themselves where those are no more than B."""
    if 2**clusters - 1 <= plan.resamples:
        flips = np.arange(1, 2**clusters)
        yield 1.0 - 2.0 * ((flips[:, None] >> np.arange(clusters)) & 1).astype(np.float64)
        return
    generator = np.random.default_rng(plan.seed)
    for size in _blocks(plan.resamples, clusters):
        yield 2.0 * generator.integers(0, 2, size=(size, clusters), dtype=np.int8).astype(np.float64) - 1.0


def smallest_p(conversations: int, plan: Resampling) -> float:
    """The smallest p-value that can be expected of the sign-flip test, whatever the differences are.

    Of the 2^n ways to flip n conversations two are as extreme as any data: none and all. And no p is below 1 / (B + 1).
    """
    return max(min(1.0, 2.0 ** (1 - conversations)), 1.0 / (plan.resamples + 1.0))


def drawn(clusters: int, plan: Resampling) -> Iterator[NDArray[np.float64]]:
    """How often each cluster is in each resample: as many draws with replacement as there are clusters.

    Args:
        clusters: How many there are.
        plan: Resamples and seed.

    Yields:
        Blocks of resamples, shape (block, clusters); the blocks are one stream of draws, however they are cut.
    """
    generator = np.random.default_rng(plan.seed)
    for size in _blocks(plan.resamples, clusters):
        draws = generator.integers(0, max(clusters, 1), size=(size, clusters))
        draws += np.arange(size)[:, None] * clusters
        yield np.bincount(draws.ravel(), minlength=size * clusters).reshape(size, clusters).astype(np.float64)


def _blocks(resamples: int, clusters: int) -> Iterator[int]:
    """Sizes of blocks that together have all resamples."""
    block = max(_BLOCK // max(clusters, 1), 1)
    for start in range(0, resamples, block):
        yield min(block, resamples - start)


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
