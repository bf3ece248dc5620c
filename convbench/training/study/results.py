"""The numbers of a study: arms, their differences from the first arm, and claims, with conversations resampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.corrections import holm
from convbench.analysis.estimates import Estimate, estimated_columns
from convbench.analysis.paired import PairedDifference, paired_differences
from convbench.analysis.resampling import Resampling
from convbench.training.study.plan import Claim, Study
from convbench.training.study.scores import SetScores, Shown, over_seeds, over_turns
from convbench.training.study.verdicts import Verdict, verdict_in_words, verdict_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

BySeed = Mapping[int, float | None]
"""Seed -> the mean over turns."""


@dataclass(frozen=True, slots=True)
class ArmValue:
    """An arm under a measure.

    Attributes:
        measure: The measure's name.
        shown: The arm and its evidence condition.
        estimate: Of the turns' means over seeds.
        by_seed: Each seed's own mean.
    """

    measure: str
    shown: Shown
    estimate: Estimate
    by_seed: BySeed

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest seed; None with fewer than two."""
        known = [value for value in self.by_seed.values() if value is not None]
        return (min(known), max(known)) if len(known) > 1 else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Two arms under a measure, turn by turn, over the seeds that both have.

    Attributes:
        measure: The measure's name.
        first: The one.
        second: The other.
        result: First minus second.
        by_seed: Each seed's own difference.
        adjusted: p after Holm over the set's table; None outside it.
    """

    measure: str
    first: Shown
    second: Shown
    result: PairedDifference
    by_seed: BySeed
    adjusted: float | None = None


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A claim on a test set.

    Attributes:
        claim: The claim.
        difference: The arm minus what it is compared with; None where a side has no finished seed, or no seed is finished of both.
        verdict: Chosen by the interval.
        words: The verdict with its reason.
    """

    claim: Claim
    difference: Difference | None
    verdict: Verdict
    words: str


@dataclass(frozen=True, slots=True)
class SetResults:
    """A test set.

    Attributes:
        scores: The values that everything is computed of.
        values: Measure by measure, arm by arm, under the recipe's own evidence.
        differences: Of each further arm from the first; corrected together.
        evidence: Each arm under its own evidence minus the arm under another.
        claims: Those that are on this set.
    """

    scores: SetScores
    values: tuple[ArmValue, ...]
    differences: tuple[Difference, ...]
    evidence: tuple[Difference, ...]
    claims: tuple[ClaimResult, ...]


def results_of(scores: SetScores, study: Study, plan: Resampling) -> SetResults:
    """All numbers of a test set.

    Args:
        scores: The turns' values.
        study: Which arms, measures and claims.
        plan: How conversations are resampled.
    """
    first, *others = study.arms
    pairs = [(measure, Shown(arm), Shown(first)) for measure in study.measures for arm in others]
    shown_other = [
        (measure, Shown(arm), Shown(arm, evidence))
        for measure in study.measures
        if scores.measures[measure].side != "ranking"  # the evidence comes after the ranking
        for evidence in study.evidence
        for arm in study.arms
    ]
    claims = [claim for claim in study.claims if claim.on in (None, scores.name)]
    claimed = [(claim.measure, Shown(claim.arm), Shown(claim.against, claim.evidence or "")) for claim in claims]
    found = _differences(scores, list(dict.fromkeys([*pairs, *shown_other, *claimed])), plan)
    return SetResults(
        scores,
        tuple(_values(scores, study, plan)),
        tuple(_corrected([found[pair] for pair in pairs if pair in found])),
        tuple(found[pair] for pair in shown_other if pair in found),
        tuple(_judged(claim, found.get(pair), scores) for claim, pair in zip(claims, claimed, strict=True)),
    )


def _values(scores: SetScores, study: Study, plan: Resampling) -> list[ArmValue]:
    wanted = [(measure, Shown(arm)) for measure in study.measures for arm in study.arms]
    columns = {key: by_seed for key in wanted if (by_seed := scores.of(*key))}
    estimates = estimated_columns([over_seeds(list(by_seed.values())) for by_seed in columns.values()], scores.clusters, plan)
    return [
        ArmValue(*key, estimate, {seed: over_turns(values) for seed, values in by_seed.items()})
        for (key, by_seed), estimate in zip(columns.items(), estimates, strict=True)
    ]


def _differences(
    scores: SetScores, pairs: Sequence[tuple[str, Shown, Shown]], plan: Resampling
) -> dict[tuple[str, Shown, Shown], Difference]:
    """Those that both sides have a seed for."""
    columns: dict[tuple[str, Shown, Shown], dict[int, NDArray[np.float64]]] = {}
    for measure, first, second in pairs:
        ours, theirs = scores.of(measure, first), scores.of(measure, second)
        if both := {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}:
            columns[measure, first, second] = both
    if not columns:
        return {}
    turns = np.stack([over_seeds(list(by_seed.values())) for by_seed in columns.values()], axis=1)
    tested = paired_differences(turns, scores.clusters, plan)
    return {
        pair: Difference(*pair, result, {seed: over_turns(values) for seed, values in by_seed.items()})
        for (pair, by_seed), result in zip(columns.items(), tested, strict=True)
    }


def _corrected(differences: Sequence[Difference]) -> list[Difference]:
    family = [place for place, difference in enumerate(differences) if difference.result.p is not None]
    adjusted = dict(zip(family, holm([differences[place].result.p or 0.0 for place in family]), strict=True))
    return [
        replace(difference, adjusted=float(adjusted[place]) if place in adjusted else None) for place, difference in enumerate(differences)
    ]


def _judged(claim: Claim, difference: Difference | None, scores: SetScores) -> ClaimResult:
    if difference is None or difference.result.mean is None:
        return ClaimResult(claim, None, "not measured", _why_not(claim, scores))
    better = scores.measures[claim.measure].higher_is_better
    interval = difference.result.interval
    words = verdict_in_words(interval, higher_is_better=better)
    return ClaimResult(claim, difference, verdict_of(interval, higher_is_better=better), words)


def _why_not(claim: Claim, scores: SetScores) -> str:
    sides = (Shown(claim.arm), Shown(claim.against, claim.evidence or ""))
    for shown in sides:
        if not scores.of(claim.measure, shown):
            condition = f" with the evidence {shown.evidence}" if shown.evidence else ""
            return f"not measured: no finished seed of {shown.arm}{condition} has a value"
    return "not measured: no seed is finished of both, or no turn has both values"
