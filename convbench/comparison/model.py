"""What a comparison says: plain values that reports, files and notebooks are written from. Differences are always first minus second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convbench.analysis.estimates import Estimate
from convbench.analysis.paired import PairedDifference
from convbench.analysis.resampling import Resampling
from convbench.comparison.consistency_model import Consistency
from convbench.comparison.slice_model import SliceTable
from convbench.comparison.task import Task, Yardstick
from convbench.comparison.tier_model import TierAgreement

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class SystemValue:
    """One entrant under one measure.

    Attributes:
        estimate: Its value as in ``results.json``, with an interval by the comparison's resampling.
        n_missing: Turns that its run lacks.
        correlation: Intra-conversation correlation of its turns' values; None where it is not defined.
        group: Letters of its tie groups: entrants that share one are not told apart; empty for those that do not compete.
        reason: Why there is no value, or which turns are not in it.
    """

    estimate: Estimate
    n_missing: int
    correlation: float | None
    group: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two competitors under one measure.

    Attributes:
        first: Label of the one.
        second: Label of the other (the baseline, where there is one).
        result: The paired difference, first minus second.
        adjusted: p after Holm over the declared family; None outside the family.
        better: Label of the better one; empty where the difference is not significant at the declared level after correction, or lies
            outside the family. The measure's direction is accounted for.
    """

    first: str
    second: str
    result: PairedDifference
    adjusted: float | None
    better: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Every entrant under one measure, and every pair of competitors.

    Attributes:
        measure: The measure.
        systems: Label -> value, entrants in order.
        contrasts: Each pair once; empty where the measure does not test.
    """

    measure: Yardstick
    systems: Mapping[str, SystemValue]
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """The tests that were declared and are corrected together, by Holm.

    Attributes:
        measures: Labels of the declared measures.
        pairs: (first, second) labels.
        tests: How many tests there are.
    """

    measures: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    tests: int


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """Everything about one task.

    Attributes:
        task: The runs and their values.
        baseline: Label of the baseline, or None: each with each.
        family: What was corrected together.
        measured: Measure by measure, as in ``task.measures``.
        slices: One table a slicing.
        labels: Slicing -> the label of each turn of ``task.turns`` (several joined by ``|``), None where it has none.
        consistency: Whether better retrieval becomes better responses.
        notes: What a reader must know: parts that could not be computed, and why.
        tiers: Its order of systems against those on larger collections of the same dataset; empty where no run is on one.
    """

    task: Task
    baseline: str | None
    family: Family
    measured: tuple[Measured, ...]
    slices: tuple[SliceTable, ...]
    labels: Mapping[str, tuple[str | None, ...]]
    consistency: Consistency
    notes: tuple[str, ...]
    tiers: tuple[TierAgreement, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """How runs are compared; reports record it.

    Attributes:
        resampling: Resamples, seed, level of intervals.
        alpha: Significance level, after correction.
        floor_turns: Slices with fewer turns are greyed and not tested.
        floor_conversations: Likewise with fewer conversations.
        hit_depth: k of "the gold passage is among the first k".
        good: A response is good from this value of the declared response measure on.
    """

    resampling: Resampling = field(default_factory=Resampling)
    alpha: float = 0.05
    floor_turns: int = 30
    floor_conversations: int = 10
    hit_depth: int = 3
    good: float = 0.5


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs compared, task by task."""

    tasks: tuple[TaskComparison, ...]
    settings: Settings
    convbench_version: str

    def to_pandas(self) -> pd.DataFrame:
        """Every pair of competitors under every measure, a row each."""
        from convbench.comparison.frames import contrasts_frame

        return contrasts_frame(self)

    def values_to_pandas(self) -> pd.DataFrame:
        """Every entrant under every measure, a row each."""
        from convbench.comparison.frames import values_frame

        return values_frame(self)

    def slices_to_pandas(self) -> pd.DataFrame:
        """Every entrant on every slice under every declared measure, a row each."""
        from convbench.comparison.frames import slices_frame

        return slices_frame(self)

    def to_json(self) -> dict[str, Any]:
        """Every number, as plain values: what ``comparison.json`` holds."""
        from convbench.comparison.as_json import comparison_json

        return comparison_json(self)
