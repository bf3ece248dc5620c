"""Paired comparison of systems on the same turns: difference, intervals, p, what could have been detected, and who won where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.correlation import intraclass_correlation
from convbench.analysis.intervals import bca_interval, ends_of, percentile_interval
from convbench.analysis.resampling import Resampling, bootstrap_means, jackknife_means, sign_flip_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

POWER = 0.8
EQUAL = 1e-12
"""Scores that differ by less are equal but for rounding."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """One system against another under one measure, over the turns that both have a value for.

    Attributes:
        mean: Mean of the turns' differences, first minus second; None where no turn has both values.
        interval: Percentile interval, conversations resampled; None with fewer than two conversations.
        bca: The same, bias-corrected and accelerated.
        p: Of the conversation-level sign-flip randomisation, uncorrected; None with fewer than two conversations.
        standard_error: Of the mean, from the bootstrap; None with fewer than two conversations.
        detectable: The smallest true difference that one uncorrected two-sided test at 1 - level would find with a power of 80 %; None
            with fewer than two conversations.
        effect: Mean over the standard deviation of the turns' differences (Cohen's d for pairs); None where all are equal.
        correlation: Intra-conversation correlation of the differences; None where it is not defined.
        wins: Turns on which the first is higher.
        ties: Turns on which both are equal.
        losses: Turns on which the second is higher.
        n_turns: Turns compared.
        n_conversations: Their conversations.
    """

    mean: float | None
    interval: tuple[float, float] | None
    bca: tuple[float, float] | None
    p: float | None
    standard_error: float | None
    detectable: float | None
    effect: float | None
    correlation: float | None
    wins: int
    ties: int
    losses: int
    n_turns: int
    n_conversations: int


_NOTHING = PairedDifference(None, None, None, None, None, None, None, None, 0, 0, 0, 0, 0)


def paired_differences(differences: NDArray[np.float64], clusters: Clusters, plan: Resampling) -> list[PairedDifference]:
    """Every column of turn differences as a comparison; all columns share draws and flips.

    Args:
        differences: First minus second; shape (turns, comparisons); NaN where either has no value.
        clusters: The turns' conversations.
        plan: Resamples, seed and level.

    Returns:
        One a comparison, in order.
    """
    present = ~np.isnan(differences)
    turns = present.sum(axis=0)
    if not turns.any():
        return [_NOTHING] * len(turns)
    conversations = (clusters.totals(differences)[1] > 0).sum(axis=0)
    means = np.divide(np.nansum(differences, axis=0), turns, out=np.full(len(turns), np.nan), where=turns > 0)
    samples = bootstrap_means(differences, clusters, plan)
    jackknife = jackknife_means(differences, clusters)
    percentile, bca = percentile_interval(samples, plan.level), bca_interval(means, samples, jackknife, plan.level)
    p_values = sign_flip_p(differences, clusters, plan)
    errors = np.array([np.std(column[~np.isnan(column)], ddof=1) if np.sum(~np.isnan(column)) > 1 else np.nan for column in samples.T])
    found = []
    for column in range(differences.shape[1]):
        if not turns[column]:
            found.append(_NOTHING)
            continue
        valued = differences[present[:, column], column]
        several = conversations[column] > 1
        found.append(
            PairedDifference(
                mean=float(means[column]),
                interval=ends_of(percentile[column]) if several else None,
                bca=ends_of(bca[column]) if several else None,
                p=float(p_values[column]) if several else None,
                standard_error=float(errors[column]) if several else None,
                detectable=float(minimum_detectable(errors[column], plan.level)) if several else None,
                effect=_effect(valued),
                correlation=intraclass_correlation(valued, clusters.index[present[:, column]]),
                wins=int(np.sum(valued > EQUAL)),
                ties=int(np.sum(np.abs(valued) <= EQUAL)),
                losses=int(np.sum(valued < -EQUAL)),
                n_turns=int(turns[column]),
                n_conversations=int(conversations[column]),
            )
        )
    return found


def minimum_detectable(standard_error: float, level: float = 0.95, power: float = POWER) -> float:
    """The smallest true difference that a two-sided test would find with the given power: (z of the level + z of the power) × error."""
    from scipy.special import ndtri

    return float((ndtri((1 + level) / 2) + ndtri(power)) * standard_error)


def pairs_of(systems: Sequence[int], baseline: int | None = None) -> list[tuple[int, int]]:
    """(first, second) of every comparison: each system against the baseline, or each with each, the later one first."""
    if baseline is not None:
        return [(system, baseline) for system in systems if system != baseline]
    return [(later, earlier) for place, earlier in enumerate(systems) for later in systems[place + 1 :]]


def differences_of(values: NDArray[np.float64], pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Columns of differences from columns of systems; shapes (turns, systems) and (turns, pairs)."""
    return values[:, [first for first, _ in pairs]] - values[:, [second for _, second in pairs]]


def _effect(differences: NDArray[np.float64]) -> float | None:
    return float(np.mean(differences) / np.std(differences, ddof=1)) if np.ptp(differences) > EQUAL else None
