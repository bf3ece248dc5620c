"""The plan of a run: the opened dataset, the system, and each stage with its key and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from convbench.config import Origin, build_config
from convbench.datasets.base import Collection
from convbench.datasets.collection import collection_identity
from convbench.datasets.loading import open_dataset
from convbench.errors import MissingFileError, UsageError
from convbench.harness.folder import RunFolder
from convbench.harness.spec import RunSpec
from convbench.harness.stage_output import StageOutput
from convbench.io.digests import value_sha256
from convbench.registry import did_you_mean
from convbench.systems import SYSTEMS
from convbench.systems.base import Settings, Stage, SystemConfig, Unit
from convbench.types import Turn


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage, the turns of each of its batches, and where its rows go."""

    stage: Stage
    batches: tuple[tuple[Turn, ...], ...]
    output: StageOutput
    key: str


class Plan:
    """Everything that is decided before work starts; no model is loaded and no passage read.

    Args:
        spec: System, dataset, seed.
        folder: The run folder.
        cache: Folder for stores, indexes and embeddings.
        offline: Refuse the network.

    Raises:
        UsageError: The dataset, split, an option or a condition does not exist.
        DataError: A file of the dataset is malformed.
    """

    def __init__(self, spec: RunSpec, folder: RunFolder, cache: Path, *, offline: bool) -> None:
        self.spec, self.folder, self.cache = spec, folder, cache
        self.dataset = open_dataset(spec.dataset.request())
        self.system = system_config(spec.system, spec.system["name"]).build(Settings(self.dataset.card, offline, spec.seed))
        self.collection = self._collection()

    def _collection(self) -> Collection | None:
        """The passages; None where they are not at hand, nobody said they were, and the system does without."""
        try:
            return self.dataset.collection()
        except MissingFileError:
            if self.system.needs_passages or self.spec.dataset.corpus is not None:
                raise
            return None

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """What the run reads: identities of the conversations and of the collection, by content and never by place."""
        passages = collection_identity(self.dataset, self.collection, self.cache) if self.collection else None
        return {"dataset": self.dataset.identity(self.cache), "collection": passages}

    @cached_property
    def stages(self) -> tuple[PlannedStage, ...]:
        """The stages in order, each under a key of everything its rows depend on.

        Raises:
            UsageError: A stage cannot do some turn (a rewrite is missing ...).
            ResourceError: A model cannot be had.
        """
        stages = self.system.stages()
        for stage in stages:
            stage.check(self.dataset.turns)
        inputs: list[Any] = [self.inputs]
        planned = []
        for stage in stages:
            key = value_sha256([stage.name, stage.version, stage.describe(), stage.batch_size, inputs])
            batches = split_batches(self.dataset.turns, stage.batch_size, stage.unit)
            output = StageOutput(self.folder.stages, stage.name, key, [[turn.id for turn in batch] for batch in batches])
            planned.append(PlannedStage(stage, batches, output, key))
            inputs.append(key)
        return tuple(planned)


def system_config(values: dict[str, Any], origin: str | Origin) -> SystemConfig:
    """The configuration of a system from the values of a ``system.yaml``; ``kind`` chooses the class.

    Args:
        values: The content of the file.
        origin: What it is called in messages, or where it stands.

    Raises:
        UsageError: An unknown kind, an unknown key or a wrong value.
    """
    kind = values.get("kind")
    if kind not in SYSTEMS.names():
        place = origin.at(["kind"]) if isinstance(origin, Origin) else origin
        known = ", ".join(SYSTEMS.names())
        raise UsageError(f"{place}: kind: {kind!r} is no kind of system.{did_you_mean(str(kind), SYSTEMS.names())} Known: {known}")
    model: type[SystemConfig] = SYSTEMS.get(kind)
    return build_config(model, values, origin)


def split_batches(turns: Sequence[Turn], size: int, unit: Unit = "turn") -> tuple[tuple[Turn, ...], ...]:
    """Cuts turns into consecutive batches of ``size`` turns or conversations; the cut depends on nothing but order, size and unit."""
    counted = [tuple(group) for _, group in groupby(turns, attrgetter("id" if unit == "turn" else "conversation_id"))]
    return tuple(tuple(chain.from_iterable(counted[start : start + size])) for start in range(0, len(counted), size))
