"""Whether the tiers of a dataset agree: the order of the same systems on a small collection against that on a larger one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.corrections import holm
from convbench.analysis.estimates import estimated_columns
from convbench.analysis.paired import EQUAL, differences_of, pairs_of
from convbench.analysis.rank_agreement import rank_agreement
from convbench.analysis.resampling import sign_flip_p
from convbench.comparison.conditions import settings_of
from convbench.comparison.model import Settings
from convbench.comparison.task import Task, Yardstick
from convbench.comparison.tier_model import Swap, TierAgreement, TierOrder
from convbench.harness.results import DatasetResult
from convbench.metrics.signatures import differences

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLLECTION = "collection"
"""The part of a signature that two tiers have to differ in."""


def tier_agreements(task: Task, tasks: Sequence[Task], settings: Settings) -> tuple[TierAgreement, ...]:
    """A task against every task of its dataset and split on a larger collection.

    Args:
        task: The task on the smaller collection.
        tasks: All tasks; those of other datasets and smaller collections are passed over.
        settings: Resampling and significance level.
    """
    return tuple(_agreement(task, other, settings) for other in tasks if other is not task and _is_larger(other, task))


def _facts(task: Task) -> DatasetResult:
    return task.entrants[0].run.results.dataset


def _is_larger(one: Task, other: Task) -> bool:
    """Whether one is on a larger collection of the same dataset; of a pool as large as what it was taken from, the latter."""
    ours, theirs = _facts(one), _facts(other)
    if (ours.name, ours.split) != (theirs.name, theirs.split) or ours.passages is None or theirs.passages is None:
        return False
    return (ours.passages, ours.tier != "pooled") > (theirs.passages, theirs.tier != "pooled")


def _agreement(small: Task, large: Task, settings: Settings) -> TierAgreement:
    pairs = _same_systems(small, large)
    labels = [small.entrants[place].label for place, _ in pairs]
    pool = _facts(small).pool
    names = [small.entrants[place].name for place, _ in pairs]
    return TierAgreement(
        task=large.id,
        title=large.title,
        larger=_facts(large).passages or 0,
        smaller=_facts(small).passages or 0,
        systems=tuple(labels),
        unmatched=tuple(small.entrants[place].label for place in small.competitors if small.entrants[place].label not in labels),
        makers=tuple(label for label, name in zip(labels, names, strict=True) if pool is not None and name in pool.systems),
        orders=tuple(_orders(small, large, pairs, labels, settings)) if len(pairs) > 1 else (),
    )


def _same_systems(small: Task, large: Task) -> list[tuple[int, int]]:
    """Places, in both tasks, of competitors with the same settings, conditions and seed."""
    theirs: dict[str, int] = {}
    for place in large.competitors:
        theirs.setdefault(settings_of(large.entrants[place]), place)
    found = [(place, theirs.pop(settings_of(small.entrants[place]), None)) for place in small.competitors]
    return [(ours, other) for ours, other in found if other is not None]


def _orders(small: Task, large: Task, pairs: Sequence[tuple[int, int]], labels: Sequence[str], settings: Settings) -> Iterator[TierOrder]:
    known = {measure.key: measure for measure in large.measures}
    for measure in small.measures:
        other = known.get(measure.key)
        if measure.side != "ranking" or not measure.tested or other is None or not _same_but_for_the_collection(measure, other):
            continue
        ours = small.values[measure.key][:, [place for place, _ in pairs]]
        theirs = large.values[measure.key][:, [place for _, place in pairs]]
        valued = np.flatnonzero(~(np.isnan(ours).all(axis=0) | np.isnan(theirs).all(axis=0)))
        ours, theirs = ours[:, valued], theirs[:, valued]
        named = [labels[place] for place in valued.tolist()]
        agreement = rank_agreement(theirs, ours, small.clusters, settings.resampling)
        yield TierOrder(measure.key, measure.label, agreement, tuple(_swaps(ours, theirs, named, measure, small, settings)))


def _same_but_for_the_collection(one: Yardstick, other: Yardstick) -> bool:
    return all(differing.part == _COLLECTION for differing in differences(one.signature, other.signature))


def _swaps(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], labels: Sequence[str], measure: Yardstick, task: Task, settings: Settings
) -> Iterator[Swap]:
    """Pairs that the larger collection tells apart and the smaller one orders the other way."""
    pairs = pairs_of(range(len(labels)))
    if not pairs:
        return
    sign = 1.0 if measure.higher_is_better else -1.0
    large, small = sign * differences_of(theirs, pairs), sign * differences_of(ours, pairs)
    adjusted = holm(sign_flip_p(large, task.clusters, settings.resampling))
    turned = np.where(np.nansum(large, axis=0) < 0, -1.0, 1.0)
    opposite = np.nansum(turned * small, axis=0) < -EQUAL
    chosen = np.flatnonzero(opposite & (np.nansum(turned * large, axis=0) > EQUAL) & (adjusted <= settings.alpha))
    columns = [turned[pair] * gaps[:, pair] for pair in chosen for gaps in (large, small)]
    estimates = iter(estimated_columns(columns, task.clusters, settings.resampling))
    for pair, larger, smaller in zip(chosen, estimates, estimates, strict=True):
        first, second = pairs[pair] if turned[pair] > 0 else pairs[pair][::-1]
        yield Swap(labels[first], labels[second], larger, smaller, float(adjusted[pair]))
