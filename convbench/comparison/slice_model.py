"""Tables of slices: every entrant's value on part of the turns, and the pairs tested there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from convbench.analysis.estimates import Estimate


@dataclass(frozen=True, slots=True)
class SliceContrast:
    """Two competitors on one slice under one measure; exploratory, corrected by Benjamini-Hochberg over all slices of the task.

    Attributes:
        measure: The measure's key.
        first: Label of the one.
        second: Label of the other.
        difference: First minus second, with its interval.
        p: Uncorrected; None where it was not tested (a small slice).
        adjusted: Corrected.
        better: Label of the better one, as in ``Contrast``; empty where they are not told apart.
    """

    measure: str
    first: str
    second: str
    difference: Estimate
    p: float | None
    adjusted: float | None
    better: str


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One value of a slicing.

    Attributes:
        value: The label: ``1``, ``shift``, ``no`` ...
        n_turns: Turns that have it.
        n_conversations: Their conversations.
        small: Under the floor: shown in grey, not tested.
        systems: Measure key -> entrant's label -> estimate.
        contrasts: Tested pairs.
    """

    value: str
    n_turns: int
    n_conversations: int
    small: bool
    systems: Mapping[str, Mapping[str, Estimate]]
    contrasts: tuple[SliceContrast, ...]


@dataclass(frozen=True, slots=True)
class SliceTable:
    """One slicing.

    Attributes:
        name: Its registered name: ``depth``, ``topic`` ...
        title: For people.
        description: How turns get their labels, in one sentence.
        measures: Keys of the measures shown.
        rows: Value by value, in the slicing's order.
        unlabelled: Turns without a label.
    """

    name: str
    title: str
    description: str
    measures: tuple[str, ...]
    rows: tuple[SliceRow, ...]
    unlabelled: int
