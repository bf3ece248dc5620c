"""Resolving SYSTEM: a baseline's name, a ``system.yaml``, a finished run to replay, or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import convbench
from convbench.config import Origin, read_mapping
from convbench.errors import UsageError
from convbench.registry import did_you_mean
from convbench.systems.checkpoints import checkpoint_values, is_checkpoint
from convbench.systems.replay import RUN_SUFFIXES, replay_name


@dataclass(frozen=True, slots=True)
class SystemSource:
    """The content of a ``system.yaml``, and where it stands, for messages."""

    values: dict[str, Any]
    origin: Origin

    def changed(self, key: str, value: Any) -> SystemSource:
        """The same with another value at a dotted key, as ``--set`` gives it; messages name the key and never the value."""
        place = key.split(".")
        return SystemSource(_with(self.values, place, value), self.origin.changed(place, f"--set {key}"))


def shipped(folder: str) -> Path:
    """A folder of package data (``baselines``, ``leaderboards``): inside the installed package, or beside it in a checkout."""
    package = Path(convbench.__file__).parent
    installed = package / "_shipped" / folder
    return installed if installed.is_dir() else package.parent / folder


def baseline_names() -> list[str]:
    """Names of the shipped baselines, sorted."""
    return sorted(path.parent.name for path in shipped("baselines").glob("*/system.yaml"))


def system_values(system: str, *, profile: str | dict[str, Any] | None = None, offline: bool = True) -> dict[str, Any]:
    """The content of the ``system.yaml`` that SYSTEM stands for, as in ``system_source``."""
    return system_source(system, profile=profile, offline=offline).values


def system_source(system: str, *, profile: str | dict[str, Any] | None = None, offline: bool = True) -> SystemSource:
    """The content of the ``system.yaml`` that SYSTEM stands for, with its place.

    Args:
        system: Baseline name, path of a YAML file, path of a finished run (run folder, joint run file or TREC run), or a checkpoint (folder
            or hub id).
        profile: How a checkpoint is used, where it is one.
        offline: Refuse the network, which a hub id may need.

    Raises:
        UsageError: It is none of these (with a suggestion).
        ResourceError: The checkpoint cannot be had or is broken.
    """
    path = Path(system)
    names = baseline_names()
    source: SystemSource | None = None
    if system in names:  # first, so that a run folder of that name does not get in the way
        source = _from_yaml(system, shipped("baselines") / system / "system.yaml")
    elif path.suffix in (".yaml", ".yml"):
        source = _from_yaml(system, path)
    elif (path.is_dir() and (path / "turns.jsonl").exists()) or system.endswith(RUN_SUFFIXES):
        source = SystemSource({"kind": "replay", "name": replay_name(path), "run": str(path.resolve())}, Origin(system))
    if source is not None:
        if profile is not None:
            raise UsageError(f"{system}: --profile says how a bare checkpoint is used; change a system with --set model.profile.KEY=VALUE")
        return source
    if is_checkpoint(system):
        return SystemSource(checkpoint_values(system, profile=profile, offline=offline), Origin(system))
    raise UsageError(
        f"unknown system {system!r}.{did_you_mean(system, names)} Known: {', '.join(names)}; or a system.yaml, a finished run, or a "
        "checkpoint (a folder with config.json, or owner/name on the hub)"
    )


def _from_yaml(name: str, path: Path) -> SystemSource:
    document = read_mapping(path)
    return SystemSource(document.values, Origin(name, path, document.node))


def _with(values: Mapping[str, Any], place: Sequence[str], value: Any) -> dict[str, Any]:
    """``values`` with another value at a place."""
    inner = values.get(place[0])
    changed = value if len(place) == 1 else _with(inner if isinstance(inner, Mapping) else {}, place[1:], value)
    return {**values, place[0]: changed}
