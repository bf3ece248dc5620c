"""Evaluating a checkpoint with the harness: while it is trained, and when it is done."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from convbench.errors import ResourceError, UsageError
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan, system_config
from convbench.harness.results import Results
from convbench.harness.run import run
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.metrics.base import measure_key
from convbench.metrics.protocol import ScoringPart
from convbench.metrics.selection import Selection
from convbench.registry import did_you_mean
from convbench.systems.checkpoints import checkpoint_values
from convbench.training.recipe import Recipe

_SHARED = ("stores", "digests")


def set_names(sets: Sequence[DatasetSpec]) -> list[str]:
    """A name for each set: its dataset's, with a number where a dataset comes twice."""
    total, seen = Counter(each.name for each in sets), Counter[str]()
    names = []
    for each in sets:
        seen[each.name] += 1
        names.append(each.name if total[each.name] == 1 else f"{each.name}-{seen[each.name]}")
    return names


def check_sets(recipe: Recipe, *, cache: Path, offline: bool) -> None:
    """Refuses, before training has begun, what would stop an evaluation after it.

    Args:
        recipe: Names the sets, the system's values and what is scored.
        cache: Folder for stores and indexes.
        offline: Refuse the network.

    Raises:
        UsageError: A value of the system, a metric family, or the measure to choose by does not exist.
        MissingFileError: A set or its collection is not there.
        DataError: A file of a set is malformed.
    """
    model = {"kind": "unified", "model": recipe.model.model_dump(mode="json")}  # for the one in training, which is not there yet
    sets, measured = recipe.evaluation, list[str]()
    for part in (sets.dev, sets.test):
        for name, dataset in zip(set_names(part), part, strict=True):
            spec = RunSpec(system=_system(model, recipe), dataset=dataset, seed=recipe.training.seed)
            plan = Plan(spec, RunFolder(Path(name)), cache, offline=offline)
            found = list(_measures(Selection(families=sets.metrics).parts(plan.dataset)))
            if part is sets.dev:
                measured += _flat_names(name, found)
    if sets.dev:
        check_metric(recipe.training.metric, dict.fromkeys(measured, 0.0))


def _measures(parts: Sequence[ScoringPart]) -> Iterator[tuple[str, str]]:
    """(protocol, measure) of what is scored; that of a model that cannot be had is not computed."""
    for part in parts:
        with suppress(ResourceError):
            yield from ((part.protocol, measure.name) for measure in part.metric.measures())


def _system(values: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    own = {**values, **recipe.evaluation.system, "name": recipe.name}
    return system_config(own, f"{recipe.name}: evaluation.system").model_dump(mode="json")


def run_checkpoint(
    checkpoint: Path, recipe: Recipe, sets: Sequence[DatasetSpec], folder: Path, *, cache: Path, offline: bool
) -> dict[str, Results]:
    """Runs a checkpoint on sets as ``convbench run`` does; what is finished is kept.

    Args:
        checkpoint: Its folder.
        recipe: Has the system's values, its name and seed, and what is scored.
        sets: What it is run on.
        folder: Gets a run folder for each set.
        cache: Folder for stores and indexes.
        offline: Refuse the network.

    Returns:
        Name of the set -> results.
    """
    system = _system(checkpoint_values(str(checkpoint), profile=None, offline=True), recipe)
    found = {}
    for name, dataset in zip(set_names(sets), sets, strict=True):
        spec = RunSpec(system=system, dataset=dataset, seed=recipe.training.seed)
        found[name] = run(spec, folder / name, Selection(families=recipe.evaluation.metrics), cache=cache, offline=offline)
    return found


def flat_metrics(results: Mapping[str, Results]) -> dict[str, float]:
    """What was measured, by ``SET/PROTOCOL/MEASURE``, and by ``SET/MEASURE`` where one protocol has it."""
    found: dict[str, float] = {}
    for name, each in results.items():
        computed = [metric for metric in each.metrics if metric.value is not None]
        names = _flat_names(name, [(metric.protocol, metric.name) for metric in computed])
        found |= {key: float(metric.value or 0.0) for key, metric in zip(names, computed, strict=True)}
    return found


def _flat_names(set_name: str, measures: Sequence[tuple[str, str]]) -> list[str]:
    """What (protocol, measure) pairs of a set are called in a log, and by ``training.metric``."""
    times = Counter(name for _, name in measures)
    return [f"{set_name}/{each[1] if times[each[1]] == 1 else measure_key(*each)}" for each in measures]


def check_metric(name: str | None, metrics: Mapping[str, float]) -> None:
    """Raises ``UsageError`` where what the best checkpoint is chosen by is not measured."""
    if name is not None and name not in metrics:
        raise UsageError(f"training.metric: {name!r} is not measured.{did_you_mean(name, list(metrics))} Measured: {', '.join(metrics)}")


@contextmanager
def passing_indexes(folder: Path, cache: Path) -> Iterator[Path]:
    """A cache for checkpoints that come and go: collections are those of ``cache``, indexes are removed in the end.

    Args:
        folder: Where it is made.
        cache: The lasting one.
    """
    passing = folder / "cache"
    shutil.rmtree(passing, ignore_errors=True)  # links in it are removed, not followed
    passing.mkdir(parents=True)
    for name in _SHARED:
        (cache / name).mkdir(parents=True, exist_ok=True)
        (passing / name).symlink_to((cache / name).resolve(), target_is_directory=True)
    try:
        yield passing
    finally:
        shutil.rmtree(passing, ignore_errors=True)
