"""Which submissions of a track a paired test tells apart: as in comparisons, whole conversations swap the scores of two systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.corrections import holm
from convbench.analysis.paired import pairs_of
from convbench.analysis.pairwise_flips import pairwise_sign_flip_p
from convbench.analysis.resampling import Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
RESAMPLES = 10_000
"""Sign flips at least."""

_PER_TEST = 40

Values = Mapping[str, Sequence[float | None]]
"""Submission -> a value a turn, in the dataset's order; None where a turn has none."""


def separated(by_measure: Mapping[str, Values], turn_ids: Sequence[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Measure -> submission -> the submissions that a test tells apart from it, sorted.

    The family of tests is every pair of competing submissions under every ranking measure of the track; Holm's correction keeps the chance
    of any false claim in it at 5 %.

    Args:
        by_measure: Ranking measure -> the values of the submissions that compete under it.
        turn_ids: The turns.
    """
    clusters = Clusters.of(turn_ids)
    names = {measure: sorted(values) for measure, values in by_measure.items()}
    pairs = {measure: pairs_of(range(len(names[measure]))) for measure in by_measure}
    plan = resampling(sum(map(len, pairs.values())))
    tests = [(measure, pair) for measure in by_measure for pair in pairs[measure]]
    p_values = [
        p for measure, values in by_measure.items() for p in pairwise_sign_flip_p(_matrix(values, names[measure]), clusters, plan).tolist()
    ]
    apart: dict[str, dict[str, set[str]]] = {measure: {name: set() for name in names[measure]} for measure in by_measure}
    for (measure, (first, second)), adjusted in zip(tests, holm(p_values).tolist(), strict=True):
        if adjusted <= ALPHA:
            one, other = names[measure][first], names[measure][second]
            apart[measure][one].add(other)
            apart[measure][other].add(one)
    return {measure: {name: tuple(sorted(others)) for name, others in found.items()} for measure, found in apart.items()}


def resampling(tests: int) -> Resampling:
    """The flips for a family of tests: p is never below 1 / (B + 1), which Holm multiplies by as many as there are tests.

    With 50 submissions and two measures, 10,000 flips would tell nobody apart, whatever their scores.
    """
    return Resampling(resamples=max(RESAMPLES, _PER_TEST * tests))


def _matrix(values: Values, names: Sequence[str]) -> NDArray[np.float64]:
    """Shape (turns, submissions); NaN where a turn has no value."""
    columns: list[NDArray[np.float64]] = [np.array(values[name], dtype=np.float64) for name in names]
    return np.stack(columns, axis=1) if columns else np.empty((0, 0))
