"""Resolving SYSTEM: a baseline's name, a ``system.yaml``, a finished run to replay, or a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import convbench
from convbench.config import read_yaml
from convbench.errors import DataError, UsageError
from convbench.registry import did_you_mean
from convbench.systems.checkpoints import checkpoint_values, is_checkpoint
from convbench.systems.replay import RUN_SUFFIXES, replay_name


def shipped(folder: str) -> Path:
    """A folder of package data (``baselines``, ``leaderboards``): inside the installed package, or beside it in a checkout."""
    package = Path(convbench.__file__).parent
    installed = package / "_shipped" / folder
    return installed if installed.is_dir() else package.parent / folder


def baseline_names() -> list[str]:
    """Names of the shipped baselines, sorted."""
    return sorted(path.parent.name for path in shipped("baselines").glob("*/system.yaml"))


def system_values(system: str, *, profile: str | dict[str, Any] | None = None, offline: bool = True) -> dict[str, Any]:
    """The content of the ``system.yaml`` that SYSTEM stands for.

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
    values: dict[str, Any] | None = None
    if system in names:  # first, so that a run folder of that name does not get in the way
        values = _yaml_values(shipped("baselines") / system / "system.yaml")
    elif path.suffix in (".yaml", ".yml"):
        values = _yaml_values(path)
    elif (path.is_dir() and (path / "turns.jsonl").exists()) or system.endswith(RUN_SUFFIXES):
        values = {"kind": "replay", "name": replay_name(path), "run": str(path.resolve())}
    if values is not None:
        if profile is not None:
            raise UsageError(f"{system}: --profile says how a bare checkpoint is used; change a system with --set model.profile.KEY=VALUE")
        return values
    if is_checkpoint(system):
        return checkpoint_values(system, profile=profile, offline=offline)
    raise UsageError(
        f"unknown system {system!r}.{did_you_mean(system, names)} Known: {', '.join(names)}; or a system.yaml, a finished run, or a "
        "checkpoint (a folder with config.json, or owner/name on the hub)"
    )


def _yaml_values(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise DataError(path, f"expected a mapping, found {type(values).__name__}")
    return values
