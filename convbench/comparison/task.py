"""What is compared: runs on the very same task, with the values of their turns under every measure they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from convbench.analysis.clusters import Clusters
from convbench.analysis.paired import pairs_of
from convbench.datasets.loading import Dataset
from convbench.datasets.store import PassageStore
from convbench.harness.finished import FinishedRun
from convbench.metrics.base import Side, measure_key
from convbench.types import Turn, TurnRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

Role = Literal["", "condition", "shortcut", "ceiling", "floor"]
"""Empty for a system that competes; ``condition``: shown other evidence than it retrieved; ``shortcut`` (gold of earlier turns);
``ceiling`` (oracle); ``floor`` (random). Rows stand in this order.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Entrant:
    """One run of a comparison.

    Attributes:
        label: Its name in every table and picture, unique in its task: the system's name, with what tells it from others of that name.
        role: Whether it competes.
        run: The run.
    """

    label: str
    role: Role
    run: FinishedRun

    @property
    def name(self) -> str:
        """The system's name, which several entrants may share (conditions of an evidence ladder)."""
        return self.run.name

    @property
    def competes(self) -> bool:
        """Whether it is tested against others."""
        return not self.role

    @property
    def is_reference(self) -> bool:
        """Whether it only shows what is possible: the ceiling, the floor or a shortcut."""
        return self.role not in ("", "condition")

    @property
    def records(self) -> Mapping[str, TurnRecord]:
        """Turn id -> its record."""
        return self.run.records


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A measure that entrants are compared by: one signature.

    Attributes:
        protocol: The protocol; empty for a family that stands in none.
        name: The measure's name.
        label: Its heading: the name, with its protocol where another of that name stands beside it.
        signature: Its full signature.
        side: What is scored.
        higher_is_better: The direction.
        ranks: Whether systems may be ordered and tested by it.
        aggregate: ``mean`` of the turns' values, or ``corpus`` where it is computed over all turns at once (no paired test then).
        scale: ``unit`` is shown in per cent; ``any`` too, by the field's custom, but may leave [0, 100].
        declared: Whether it is among the declared measures, whose tests are corrected together.
        turn_set: The rule that chose the turns.
    """

    protocol: str
    name: str
    label: str
    signature: str
    side: Side
    higher_is_better: bool
    ranks: bool
    aggregate: Literal["mean", "corpus"]
    scale: Literal["unit", "any"]
    declared: bool
    turn_set: str

    @property
    def key(self) -> str:
        """``protocol/name``: unique in a task, stable in files."""
        return measure_key(self.protocol, self.name)

    @property
    def tested(self) -> bool:
        """Whether pairs of systems are tested by it."""
        return self.ranks and self.aggregate == "mean"

    def better(self, first: str, second: str, difference: float | None) -> str:
        """Which of two systems a difference, first minus second, speaks for; empty where it speaks for neither."""
        if not difference:
            return ""
        return first if (difference > 0) == self.higher_is_better else second


@dataclass(frozen=True, eq=False)
class Task:
    """Runs on one dataset, split, turn set and collection.

    Attributes:
        id: Short and unique in a comparison, fit for file names and anchors: ``topiocqa-mini``.
        title: For people: ``topiocqa, split mini``.
        entrants: The runs, competitors first, in the order given.
        measures: What they are compared by, retrieval first.
        values: For each measure's key the values of turns, NaN where a turn has none; shape (turns, entrants), rows as in ``turns`` and
            columns as in ``entrants``.
    """

    id: str
    title: str
    entrants: tuple[Entrant, ...]
    measures: tuple[Yardstick, ...]
    values: Mapping[str, NDArray[np.float64]] = field(repr=False)

    @property
    def dataset(self) -> Dataset:
        """The dataset, read once, by the first run."""
        return self.entrants[0].run.dataset

    @property
    def store(self) -> PassageStore | None:
        """Its passages; None where they are not at hand."""
        return self.entrants[0].run.store

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """Every turn of the dataset, in order: the rows of ``values``."""
        return self.dataset.turns

    @cached_property
    def clusters(self) -> Clusters:
        """The conversations of ``turns``."""
        return Clusters.of([turn.id for turn in self.turns])

    @property
    def competitors(self) -> tuple[int, ...]:
        """Places of the entrants that compete."""
        return tuple(place for place, entrant in enumerate(self.entrants) if entrant.competes)

    def pairs(self, baseline: int | None = None) -> list[tuple[int, int]]:
        """Places of the entrants of every pair that is tested: each competitor against the baseline, or each with each."""
        return pairs_of(self.competitors, baseline)

    def measure(self, key: str) -> Yardstick:
        """The measure with a key."""
        return next(measure for measure in self.measures if measure.key == key)

    @property
    def declared(self) -> tuple[Yardstick, ...]:
        """The declared measures that pairs are tested by."""
        return tuple(measure for measure in self.measures if measure.declared and measure.tested)

    def primary(self, side: Side) -> Yardstick | None:
        """The measure that stands for a side: the first that pairs are tested by, declared ones before others; None without one."""
        tested = [measure for measure in self.measures if measure.side == side and measure.tested]
        return next((measure for measure in tested if measure.declared), tested[0] if tested else None)

    @property
    def primaries(self) -> tuple[Yardstick, ...]:
        """The measures that stand for retrieval and for responses, as far as there are any."""
        sides: tuple[Side, ...] = ("ranking", "response")
        return tuple(measure for side in sides if (measure := self.primary(side)) is not None)
