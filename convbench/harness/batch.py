"""Several systems on several datasets, or under several conditions: a run folder each, one report over all."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convbench.datasets.loading import open_dataset
from convbench.errors import ConvbenchError, UsageError
from convbench.harness.execute import pending
from convbench.harness.folder import RunFolder
from convbench.harness.ladder import LADDER, Axis, laddered, rungs
from convbench.harness.plan import Plan, system_config
from convbench.harness.results import Results
from convbench.harness.run import run
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.metrics.selection import Selection
from convbench.systems.base import Settings, SystemConfig
from convbench.systems.catalog import system_source
from convbench.systems.checkpoint_map import CheckpointMap, warn_of_unused, with_map
from convbench.views.evidence import EvidenceError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What `convbench run` was asked for."""

    systems: Sequence[str]
    datasets: Sequence[DatasetSpec]
    out: Path | None
    history: str | None
    evidence: str | None
    seed: int
    cache: Path
    offline: bool
    profile: str | dict[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values that change every system's own, by dotted key: ``decoding.max_new_tokens``."""
    rankings: Path | None = None
    """A run whose rankings take the place of every system's own retriever."""
    checkpoint_map: CheckpointMap | None = None
    """Folders in place of checkpoints that systems name."""

    @property
    def ladder(self) -> Axis | None:
        """Which condition is run as a ladder."""
        return laddered(self.history, self.evidence)


@dataclass(slots=True)
class Outcome:
    """What came of it: run folders with their results, in order, and the errors of the pairs that failed."""

    folder: Path
    runs: list[tuple[Path, Results]] = field(default_factory=list)
    errors: list[ConvbenchError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pair:
    """A system on a dataset, and the folder of its run; of a ladder, the folder that holds its runs."""

    system: SystemConfig
    dataset: DatasetSpec
    folder: Path

    def __str__(self) -> str:
        return f"{self.system.name} on {self.dataset.name}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Every pair, and the folder that holds them all."""

    folder: Path
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One run: its specification, its folder, and the folders of the same system's runs under other conditions."""

    spec: RunSpec
    folder: Path
    donors: tuple[Path, ...] = ()


def batch(request: RunRequest) -> Batch:
    """Resolves systems and lays out folders; a single pair gets the folder itself."""
    systems = [_system(name, request) for name in dict.fromkeys(request.systems)]
    if request.checkpoint_map is not None:
        warn_of_unused(systems, request.checkpoint_map, given=request.systems)
        systems = [with_map(system, request.checkpoint_map) for system in systems]
    names = [system.name for system in systems]
    if len(set(names)) < len(names):
        raise UsageError(f"two systems have the same name ({', '.join(names)}): rename one in its system.yaml")
    ladder = [f"{request.ladder}-{LADDER}"] if request.ladder else []
    folder = request.out or Path("runs") / "-".join([*names, *(dataset.name for dataset in request.datasets), *ladder])
    single = len(names) * len(request.datasets) == 1
    pairs = tuple(
        Pair(system, dataset, folder if single else folder / dataset.name / system.name)
        for dataset in request.datasets
        for system in systems
    )
    return Batch(folder, pairs)


def _system(name: str, request: RunRequest) -> SystemConfig:
    """The system under the conditions that are asked for, a ladder apart."""
    bare = request.checkpoint_map.bare(name) if request.checkpoint_map is not None else name
    source = system_source(bare, profile=request.profile, offline=request.offline)
    for key, value in request.settings.items():
        source = source.changed(key, value)
    config = system_config(source.values, source.origin)
    asked = {key for key in ("history", "evidence", "rankings") if getattr(request, key) is not None}
    if unfit := sorted(asked - config.overrides):
        raise UsageError(f"{config.name}: --{unfit[0]} does not apply to a system of kind {config.kind!r}")
    fixed = {key: value if (value := getattr(request, key)) != LADDER else None for key in ("history", "evidence")}
    if any(fixed.values()):
        config = config.with_conditions(**fixed)
    return config if request.rankings is None else config.with_rankings(request.rankings)


def steps(pair: Pair, request: RunRequest) -> tuple[Step, ...]:
    """What is run of a pair: one run, or one for each condition of a ladder, in a folder of the condition's name.

    Raises:
        UsageError: The system can do no condition of the ladder.
    """
    if request.ladder is None:
        return (Step(_spec(pair.system, pair, request), pair.folder),)
    dataset = open_dataset(pair.dataset.request())
    found = rungs(request.ladder, pair.system, dataset, Settings(dataset.card, request.offline, request.seed))
    folders = {name: pair.folder / name for name, _ in found}
    return tuple(
        Step(_spec(config, pair, request), folders[name], tuple(path for other, path in folders.items() if other != name))
        for name, config in found
    )


def _spec(system: SystemConfig, pair: Pair, request: RunRequest) -> RunSpec:
    return RunSpec(system=system.model_dump(mode="json"), dataset=pair.dataset, seed=request.seed)


def run_all(request: RunRequest, selection: Selection) -> Outcome:
    """Runs every pair, under every condition of a ladder; one that fails does not keep the others from finishing."""
    whole = batch(request)
    outcome = Outcome(whole.folder)
    alone = len(whole.pairs) == 1 and request.ladder is None
    for pair in whole.pairs:
        try:
            planned = steps(pair, request)
        except ConvbenchError as error:
            _failed(outcome, str(pair), error, alone=len(whole.pairs) == 1)
            continue
        for step in planned:
            name = f"{pair}, {step.folder.name}" if request.ladder else str(pair)
            try:
                outcome.runs.append((step.folder, _run(step, request, selection)))
            except EvidenceError as error:
                if request.ladder is None:
                    _failed(outcome, name, error, alone=alone)
                else:
                    log.warning("%s is left out: %s", name, error)
            except ConvbenchError as error:
                _failed(outcome, name, error, alone=alone)
    return outcome


def _run(step: Step, request: RunRequest, selection: Selection) -> Results:
    return run(step.spec, step.folder, selection, cache=request.cache, offline=request.offline, donors=step.donors)


def _failed(outcome: Outcome, name: str, error: ConvbenchError, *, alone: bool) -> None:
    """Keeps an error; where it is not the only thing to be said, it is said at once."""
    if not alone:
        log.error("%s: %s", name, error)
    outcome.errors.append(error)


def plan_all(request: RunRequest) -> list[dict[str, Any]]:
    """What each run would do, as plain values; nothing is computed or written."""
    return [_planned(step, request) for pair in batch(request).pairs for step in steps(pair, request)]


def _planned(step: Step, request: RunRequest) -> dict[str, Any]:
    folder = RunFolder(step.folder)
    plan = Plan(step.spec, folder, request.cache, offline=request.offline)
    folder.refuse_other(step.spec, plan.inputs)
    return {
        "system": plan.system.name,
        "dataset": plan.dataset.name,
        "split": plan.dataset.split,
        "folder": str(step.folder),
        "conversations": len(plan.dataset.conversations),
        "turns": len(plan.dataset.turns),
        "collection": f"{plan.collection.origin}: {', '.join(file.name for file in plan.collection.files)}" if plan.collection else "none",
        "stages": [{"name": name, "done": done, "total": total} for name, done, total in pending(plan, step.donors)],
    }
