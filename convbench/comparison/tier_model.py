"""What a comparison says of two collections of one dataset: plain values."""

from __future__ import annotations

from dataclasses import dataclass

from convbench.analysis.estimates import Estimate
from convbench.analysis.rank_agreement import RankAgreement


@dataclass(frozen=True, slots=True)
class Swap:
    """Two systems that the larger collection tells apart and the smaller one has in the opposite order.

    Attributes:
        better: Label of the one that is better on the larger collection.
        worse: Label of the other.
        larger: Better minus worse on the larger collection, its sign turned where lower values are better.
        smaller: The same on the smaller collection: below 0.
        p: Of the difference on the larger collection, after Holm over all pairs of the measure.
    """

    better: str
    worse: str
    larger: Estimate
    smaller: Estimate
    p: float


@dataclass(frozen=True, slots=True)
class TierOrder:
    """How one measure orders the systems on both collections.

    Attributes:
        measure: The measure's key.
        label: Its heading.
        agreement: Kendall's tau-b of the two orders.
        swaps: Pairs in opposite orders that the larger collection tells apart.
    """

    measure: str
    label: str
    agreement: RankAgreement
    swaps: tuple[Swap, ...]


@dataclass(frozen=True, slots=True)
class TierAgreement:
    """Whether a small collection orders systems as a larger one of the same dataset does.

    Attributes:
        task: Id of the task on the larger collection.
        title: Its title.
        larger: Its passages.
        smaller: Passages of the smaller collection.
        systems: Labels, in the smaller one's task, of the systems that ran on both.
        unmatched: Labels of those that ran on the smaller one only.
        makers: Of ``systems``, those whose rankings made the pool; empty where the smaller collection is no pool.
        orders: One a retrieval measure that both have, declared ones first; empty with fewer than two systems.
    """

    task: str
    title: str
    larger: int
    smaller: int
    systems: tuple[str, ...]
    unmatched: tuple[str, ...]
    makers: tuple[str, ...]
    orders: tuple[TierOrder, ...]
