"""Two finished runs side by side: measures that may be compared, and those that must not be, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.paired import PairedDifference, paired_differences
from convbench.analysis.resampling import Resampling
from convbench.errors import UsageError
from convbench.harness.finished import FinishedRun
from convbench.harness.results import MetricResult
from convbench.metrics.base import Side, measure_key
from convbench.metrics.signatures import Difference, differences


@dataclass(frozen=True, slots=True)
class MeasurePair:
    """One measure in both runs.

    Attributes:
        protocol: The protocol; empty for a family that stands in none.
        name: The measure.
        side: What is scored.
        aggregate: ``mean`` of the turns' values, or ``corpus`` where either run computed it over all turns at once.
        higher_is_better: The direction.
        ranks: Whether systems may be ordered by it.
        first: Its value in the first run, None where it has none.
        second: Likewise.
        differing: What keeps the two from being compared; empty where nothing does.
        paired: The difference turn by turn, second minus first, over the turns that both have a value for; None where the measure is no
            mean or does not compare.
    """

    protocol: str
    name: str
    side: Side
    aggregate: Literal["mean", "corpus"]
    higher_is_better: bool
    ranks: bool
    first: float | None
    second: float | None
    differing: tuple[Difference, ...]
    paired: PairedDifference | None = None

    @property
    def key(self) -> str:
        """``protocol/name``."""
        return measure_key(self.protocol, self.name)

    @property
    def difference(self) -> float | None:
        """Second minus first, where both may be compared."""
        if self.differing or self.first is None or self.second is None:
            return None
        return self.second - self.first

    @property
    def has_turns(self) -> bool:
        """Whether it can be compared turn by turn."""
        return self.paired is not None and self.paired.n_turns > 0


def side_by_side(first: FinishedRun, second: FinishedRun, turn_ids: Sequence[str], plan: Resampling) -> list[MeasurePair]:
    """The measures that both runs have, in the first one's order.

    Args:
        first: A run.
        second: Another on the same dataset.
        turn_ids: Every turn, in order: all measures are resampled over the same conversations.
        plan: How often, and from which seed.

    Raises:
        UsageError: They are on different datasets or splits.
        MissingFileError: A run lacks the scores of its turns.
    """
    _refuse_other_dataset(first, second)
    known = {(result.protocol, result.name): result for result in second.results.metrics}
    pairs = [_pair(result, other) for result in first.results.metrics if (other := known.get((result.protocol, result.name))) is not None]
    places = [place for place, pair in enumerate(pairs) if _is_paired(pair, first, second)]
    if places:
        ours, theirs = ([run.values(pairs[place].protocol, pairs[place].name, turn_ids) for place in places] for run in (first, second))
        found = paired_differences(np.stack(theirs, axis=1) - np.stack(ours, axis=1), Clusters.of(turn_ids), plan)
        for place, paired in zip(places, found, strict=True):
            pairs[place] = replace(pairs[place], paired=paired)
    return pairs


def _refuse_other_dataset(first: FinishedRun, second: FinishedRun) -> None:
    ours, theirs = (f"{run.results.dataset.name}, split {run.results.dataset.split}" for run in (first, second))
    if ours != theirs:
        raise UsageError(f"these runs do not compare: {first.path} is on {ours}, {second.path} on {theirs}; give two runs on one dataset")


def _pair(ours: MetricResult, theirs: MetricResult) -> MeasurePair:
    both = ours.signature and theirs.signature
    return MeasurePair(
        protocol=ours.protocol,
        name=ours.name,
        side=ours.side,
        aggregate="corpus" if "corpus" in (ours.aggregate, theirs.aggregate) else "mean",
        higher_is_better=ours.higher_is_better,
        ranks=ours.ranks,
        first=ours.value,
        second=theirs.value,
        differing=tuple(differences(ours.signature, theirs.signature)) if both else (),
    )


def _is_paired(pair: MeasurePair, first: FinishedRun, second: FinishedRun) -> bool:
    key = (pair.protocol, pair.name)
    return not pair.differing and pair.aggregate == "mean" and key in first.scores and key in second.scores
