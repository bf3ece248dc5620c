"""Does better retrieval become better responses? The parts of the answer, for one task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from convbench.analysis.estimates import Estimate


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The 2×2 of one entrant: was the gold passage among the first k, and was the response good?

    Attributes:
        label: The entrant.
        used_hit: Share of turns: gold retrieved, good response.
        unused_hit: Gold retrieved, response not good.
        lucky_miss: Gold not retrieved, good response.
        honest_miss: Neither.
        counts: Turns of the four, in that order.
        given_hit: Mean response value where gold was retrieved.
        given_miss: Where it was not.
        gap: ``given_hit`` minus ``given_miss``, with its interval.
        examples: For the four, ids of turns to look at (at most five each, the clearest first).
    """

    label: str
    used_hit: Estimate
    unused_hit: Estimate
    lucky_miss: Estimate
    honest_miss: Estimate
    counts: tuple[int, int, int, int]
    given_hit: Estimate
    given_miss: Estimate
    gap: Estimate
    examples: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]

    @property
    def shares(self) -> tuple[Estimate, Estimate, Estimate, Estimate]:
        """Those of the four, in that order (``analysis.outcomes.OUTCOMES``)."""
        return self.used_hit, self.unused_hit, self.lucky_miss, self.honest_miss


@dataclass(frozen=True, slots=True)
class RankQuality:
    """Response quality by rank of the best gold passage, of one entrant: (bucket, estimate of the response measure)."""

    label: str
    buckets: tuple[tuple[str, Estimate], ...]


@dataclass(frozen=True, slots=True)
class Joint:
    """Mean of response value × [gold among the first k] (the KILT form), of one entrant."""

    label: str
    value: Estimate


@dataclass(frozen=True, slots=True)
class Support:
    """K-precision and K-recall of one entrant against the passages given, the gold ones, and the history only.

    Attributes:
        label: The entrant.
        values: (source, measure) -> estimate: ``("given", "K-precision")``.
        reasons: Source -> why it was not computed.
    """

    label: str
    values: dict[tuple[str, str], Estimate]
    reasons: dict[str, str]


class EvidenceRung(NamedTuple):
    """One evidence condition: the label of the entrant that was run under it, and its response value."""

    condition: str
    label: str
    response: Estimate


@dataclass(frozen=True, slots=True)
class EvidenceLadder:
    """One system under several evidence conditions.

    Attributes:
        name: The system.
        rungs: From ``none`` to ``gold``.
        gain: gold - none.
        gap: gold - retrieved.
        distraction: gold+noise - gold.
        copy_risk: other-turn - none.
        capture: (retrieved - none) / (gold - none) with its interval; a value of None where the denominator's interval holds 0.
        capture_reason: Why there is no capture ratio.
    """

    name: str
    rungs: tuple[EvidenceRung, ...]
    gain: Estimate | None
    gap: Estimate | None
    distraction: Estimate | None
    copy_risk: Estimate | None
    capture: Estimate | None
    capture_reason: str | None


class HistoryRung(NamedTuple):
    """One history condition: the label of the entrant that was run under it, and its values, None where it has none."""

    condition: str
    label: str
    retrieval: Estimate | None
    response: Estimate | None


@dataclass(frozen=True, slots=True)
class HistoryLadder:
    """One system under several history conditions.

    Attributes:
        name: The system.
        rungs: From ``query`` to ``full-own``, then ``rewrite``.
        exposure: full - full-own, for retrieval and for responses: what a system loses when it reads its own responses; None where either
            condition was not run.
    """

    name: str
    rungs: tuple[HistoryRung, ...]
    exposure: tuple[Estimate | None, Estimate | None] | None


@dataclass(frozen=True, slots=True)
class Grid:
    """Two retrievers × two generators, and their interaction.

    Attributes:
        own: The system whose retriever and generator belong together.
        other: The one they are exchanged with.
        cells: (retriever, generator) -> (label of the entrant, response value).
        interaction: (own, own) - (own, other) - (other, own) + (other, other): above 0, the parts of ``own`` do more together
            than apart.
        p: Of its conversation-level sign-flip randomisation.
    """

    own: str
    other: str
    cells: dict[tuple[str, str], tuple[str, Estimate]]
    interaction: Estimate
    p: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Self-agreement of a unified model: its embedding order of the top k against its likelihood of the response given each passage.

    Attributes:
        label: The entrant.
        k: How many passages.
        response: Whose likelihood: ``own`` or ``gold``.
        rank_correlation: Mean Spearman correlation of the two orders over turns.
        top1: Share of turns on which both put the same passage first.
    """

    label: str
    k: int
    response: str
    rank_correlation: Estimate
    top1: Estimate


@dataclass(frozen=True, slots=True)
class Consistency:
    """All parts, for one task.

    Attributes:
        response_measure: Key of the response measure that quality means here; None where no run has responses.
        retrieval_measure: Key of the retrieval measure; None where no run has rankings.
        hit_depth: k.
        good: The value from which on a response is good.
        outcomes: The 2×2 of each entrant that has both sides.
        by_rank: Response quality by rank of the gold.
        joint: Joint scores.
        support: K-precision and K-recall.
        evidence: Evidence ladders.
        history: History ladders.
        grids: Retriever × generator.
        agreement: Self-agreement.
        notes: What could not be computed, and how to get it.
    """

    response_measure: str | None
    retrieval_measure: str | None
    hit_depth: int
    good: float
    outcomes: tuple[Outcomes, ...] = ()
    by_rank: tuple[RankQuality, ...] = ()
    joint: tuple[Joint, ...] = ()
    support: tuple[Support, ...] = ()
    evidence: tuple[EvidenceLadder, ...] = ()
    history: tuple[HistoryLadder, ...] = ()
    grids: tuple[Grid, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    notes: tuple[str, ...] = ()
