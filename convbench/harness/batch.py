"""Several systems on several datasets: a run folder each, one report over all."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError, UsageError
from convbench.harness.execute import pending
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan, system_config
from convbench.harness.results import Results
from convbench.harness.run import run
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.metrics.selection import Selection
from convbench.systems.catalog import system_values

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


@dataclass(slots=True)
class Outcome:
    """What came of it: run folders with their results, in order, and the errors of the pairs that failed."""

    folder: Path
    runs: list[tuple[Path, Results]] = field(default_factory=list)
    errors: list[ConvbenchError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Batch:
    """Every (system, dataset) pair with its run folder, and the folder that holds them all."""

    folder: Path
    pairs: tuple[tuple[RunSpec, Path], ...]


def batch(request: RunRequest) -> Batch:
    """Resolves systems and lays out run folders; a single pair gets the folder itself."""
    systems = [_system(name, request) for name in dict.fromkeys(request.systems)]
    names = [system["name"] for system in systems]
    if len(set(names)) < len(names):
        raise UsageError(f"two systems have the same name ({', '.join(names)}): rename one in its system.yaml")
    folder = request.out or Path("runs") / "-".join([*names, *(dataset.name for dataset in request.datasets)])
    single = len(names) * len(request.datasets) == 1
    pairs = tuple(
        (RunSpec(system=system, dataset=dataset, seed=request.seed), folder if single else folder / dataset.name / system["name"])
        for dataset in request.datasets
        for system in systems
    )
    return Batch(folder, pairs)


def _system(name: str, request: RunRequest) -> dict[str, Any]:
    values = system_values(name, profile=request.profile, offline=request.offline)
    for key, value in request.settings.items():
        values = _with(values, key.split("."), value)
    config = system_config(values, name)
    asked = {key for key in ("history", "evidence") if getattr(request, key) is not None}
    if unfit := sorted(asked - config.overrides):
        raise UsageError(f"{config.name}: --{unfit[0]} does not apply to a system of kind {config.kind!r}")
    changed = config.with_conditions(history=request.history, evidence=request.evidence) if asked else config
    return changed.model_dump(mode="json")


def _with(values: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """``values`` with another value at a dotted key."""
    inner = values.get(path[0])
    changed = value if len(path) == 1 else _with(inner if isinstance(inner, Mapping) else {}, path[1:], value)
    return {**values, path[0]: changed}


def run_all(request: RunRequest, selection: Selection) -> Outcome:
    """Runs every pair; one that fails does not keep the others from finishing."""
    whole = batch(request)
    outcome = Outcome(whole.folder)
    for spec, path in whole.pairs:
        try:
            outcome.runs.append((path, run(spec, path, selection, cache=request.cache, offline=request.offline)))
        except ConvbenchError as error:
            if len(whole.pairs) > 1:
                log.error("%s on %s: %s", spec.system["name"], spec.dataset.name, error)
            outcome.errors.append(error)
    return outcome


def plan_all(request: RunRequest) -> list[dict[str, Any]]:
    """What each pair would do, as plain values; nothing is computed or written."""
    return [_planned(spec, path, request) for spec, path in batch(request).pairs]


def _planned(spec: RunSpec, path: Path, request: RunRequest) -> dict[str, Any]:
    folder = RunFolder(path)
    plan = Plan(spec, folder, request.cache, offline=request.offline)
    folder.refuse_other(spec, plan.inputs)
    return {
        "system": plan.system.name,
        "dataset": plan.dataset.name,
        "split": plan.dataset.split,
        "folder": str(path),
        "conversations": len(plan.dataset.conversations),
        "turns": len(plan.dataset.turns),
        "collection": f"{plan.collection.origin}: {', '.join(file.name for file in plan.collection.files)}" if plan.collection else "none",
        "stages": [{"name": name, "done": done, "total": total} for name, done, total in pending(plan)],
    }
