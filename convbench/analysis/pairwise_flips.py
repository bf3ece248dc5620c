"""Sign-flip tests of every pair of many systems: the flipped sums of each system are taken once, not those of each pair."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.paired import differences_of, pairs_of
from convbench.analysis.resampling import EQUAL, Resampling, sign_flip_p, signs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLIPS = 1024
"""Flips at a time: the sums of 80 systems under them stay in a processor's cache, and their number fits 16 bits."""
_COLUMNS = 300
"""Pairs whose differences are flipped together: their sums take 48 MB."""
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


def pairwise_sign_flip_p(values: NDArray[np.float64], clusters: Clusters, plan: Resampling) -> NDArray[np.float64]:
    """What ``resampling.sign_flip_p`` gives for the differences of every pair of systems, under the same flips.

    The flipped sum of a difference is the difference of two flipped sums, so that n systems take n matrix products of a column instead of
    n (n - 1) / 2. Where rounding could make of equal sums unequal ones (two systems that hardly differ), and where one system has values on
    turns that the other has none for, the differences themselves are flipped.

    Args:
        values: Shape (turns, systems); NaN where a turn has no value.
        clusters: The turns' conversations.
        plan: Resamples and seed.

    Returns:
        One p a pair, in the order of ``paired.pairs_of``.
    """
    systems = values.shape[1]
    pairs = pairs_of(range(systems))
    if not pairs:
        return np.empty(0)
    sums, _ = clusters.totals(values)
    centred = sums - sums.mean(axis=1, keepdims=True)  # small numbers round less
    observed = _observed(values, centred, clusters)
    extreme, flips = [np.zeros(len(each), dtype=np.int64) for each in observed], 0
    # Made once: memory that is new each time costs more than the sums.
    differences, reached = np.empty((systems, _FLIPS)), np.empty((systems, _FLIPS), dtype=np.bool_)
    for signs in signs_of(len(sums), plan):
        flips += len(signs)
        for start in range(0, len(signs), _FLIPS):
            flipped = centred.T @ signs[start : start + _FLIPS].T
            for system, least in enumerate(observed):
                here = slice(len(least)), slice(flipped.shape[1])
                np.subtract(flipped[system + 1 :], flipped[system], out=differences[here])
                np.abs(differences[here], out=differences[here])
                np.greater_equal(differences[here], least[:, None], out=reached[here])
                extreme[system] += reached[here].sum(axis=1, dtype=np.uint16)
    p_values = np.asarray((np.concatenate(extreme) + 1.0) / (flips + 1.0), dtype=np.float64)
    left = [place for place, least in enumerate(np.concatenate(observed)) if np.isinf(least)]
    for start in range(0, len(left), _COLUMNS):
        places = left[start : start + _COLUMNS]
        p_values[places] = sign_flip_p(differences_of(values, [pairs[place] for place in places]), clusters, plan)
    return p_values


def _observed(values: NDArray[np.float64], centred: NDArray[np.float64], clusters: Clusters) -> list[NDArray[np.float64]]:
    """System -> for each later one the absolute sum from which on a flip is as extreme; infinite where the pair is not to be tested so."""
    missing = np.isnan(values)
    # Conversations' sums are rounded where they are made, of values that were not centred yet, and again in each flipped sum.
    error = _ROUNDING * (len(centred) * np.abs(centred).sum(axis=0) + math.sqrt(len(values)) * np.nansum(np.abs(values), axis=0))
    found = []
    for system in range(values.shape[1] - 1):
        differences = values[:, system + 1 :] - values[:, [system]]
        distance = np.nansum(np.abs(differences), axis=0)
        least = np.abs(clusters.totals(differences)[0].sum(axis=0)) - EQUAL * distance
        rounding = error[system] + error[system + 1 :]
        same_turns = (missing[:, system + 1 :] == missing[:, [system]]).all(axis=0)
        found.append(np.where(same_turns & (rounding < EQUAL * distance / 2), least, np.inf))
    return found
