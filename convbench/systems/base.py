"""The protocol between systems and the harness.

A system is an ordered list of stages. A stage turns a batch of turns, and what earlier stages said of them, into one row a turn; rows
are JSON objects, written as they are made, so that a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field

from convbench.config import Config
from convbench.datasets.base import DatasetCard
from convbench.datasets.store import PassageStore
from convbench.errors import MissingFileError
from convbench.meter import Meter
from convbench.types import Turn, TurnRecord

Row = dict[str, Any]
"""One turn's result of one stage; ``turn_id`` is always among the keys."""

Upstream = Mapping[str, Mapping[str, Row]]
"""Stage name -> turn id -> row."""

Unit = Literal["turn", "conversation"]
"""What a batch is counted in."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a stage may use when it starts work.

    Attributes:
        passages: The passages; None where they are not at hand (only for systems that do not need them).
        cache: Folder for indexes and embeddings.
        meter: Where the stage's costs go.
    """

    passages: PassageStore | None
    cache: Path
    meter: Meter

    @property
    def store(self) -> PassageStore:
        """The passages, for stages that cannot do without."""
        if self.passages is None:
            raise MissingFileError("the collection's passages are needed here, but no corpus was found: give it with --corpus")
        return self.passages


@dataclass(frozen=True, slots=True)
class Settings:
    """What a system's configuration is resolved with.

    Attributes:
        card: The dataset's card (usual BM25 parameters ...).
        offline: Refuse the network.
        seed: Seed of everything random.
    """

    card: DatasetCard
    offline: bool
    seed: int


@runtime_checkable
class Stage(Protocol):
    """One step of a system.

    Attributes:
        name: Unique within the system; the name of its file in the run folder.
        version: Raised when the same inputs give other rows.
        batch_size: How much is worked on together. Batches are fixed by the plan, so that a resumed run repeats them exactly.
        unit: What ``batch_size`` counts: turns, or whole conversations for a stage that goes through them in turn order.
    """

    name: str
    version: int
    batch_size: int
    unit: Unit

    def describe(self) -> dict[str, Any]:
        """Everything that changes a row, the dataset and earlier stages apart."""

    def check(self, turns: Sequence[Turn]) -> None:
        """Raises before any work where the stage cannot do all turns."""

    def open(self, workplace: Workplace) -> None:
        """Loads models and indexes. Called only when rows are missing."""

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """One row a turn, in order."""


@runtime_checkable
class System(Protocol):
    """What is benchmarked.

    Attributes:
        name: Its name in runs and reports.
        needs_passages: False where it works without the passages' texts, so that it runs where the collection is not at hand.
        retrieves: Whether it searches for every turn, so that an empty ranking is its answer, which scores 0, and not the lack of one.
    """

    name: str
    needs_passages: bool
    retrieves: bool

    def stages(self) -> Sequence[Stage]:
        """The stages, in order."""

    def conditions(self) -> dict[str, Any]:
        """The experimental conditions a reader compares by: history, rewriter, evidence, depth."""

    def record(self, turn_id: str, rows: Mapping[str, Row]) -> TurnRecord | None:
        """Joins one turn's rows (stage name -> row) into a line of the run file; None where the system has nothing for the turn."""


class SystemConfig(Config, ABC):
    """Keys that every ``system.yaml`` has.

    Attributes:
        kind: The kind of system; chooses the configuration class.
        name: The system's name in runs, reports and folders.
        description: One sentence for people.
    """

    kind: str
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    description: str = ""

    overrides: ClassVar[frozenset[str]] = frozenset()
    """Command-line conditions (``history``, ``evidence``, ``rankings``) that this kind understands."""

    def with_conditions(self, *, history: str | None, evidence: str | None) -> SystemConfig:
        """The configuration under other conditions; only called with those in ``overrides``."""
        return self

    def with_rankings(self, path: Path) -> SystemConfig:
        """The configuration with the rankings of a run in place of its retriever's; only called where ``overrides`` has ``rankings``."""
        return self

    @abstractmethod
    def build(self, settings: Settings) -> System:
        """The system, nothing loaded yet."""


def name_from(text: str) -> str:
    """A system's name made from a file's or a checkpoint's, as far as a name may hold it."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).lstrip("._+-") or "run"
