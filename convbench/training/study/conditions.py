"""A finished run's system again, shown other evidence or given another run's rankings."""

from __future__ import annotations

from pathlib import Path

from convbench.harness.folder import RunFolder
from convbench.harness.plan import system_config
from convbench.harness.run import run
from convbench.metrics.selection import Selection
from convbench.systems.base import SystemConfig
from convbench.systems.rankings import AnswersFromRankings


def responds(folder: Path) -> bool:
    """Whether the system of a run writes responses."""
    system = _system(folder)
    return isinstance(system, AnswersFromRankings) and system.responds


def run_again(
    folder: Path,
    target: Path,
    selection: Selection,
    *,
    cache: Path,
    offline: bool,
    evidence: str | None = None,
    rankings: Path | None = None,
) -> None:
    """Runs a run's system on its dataset under one other condition; what the target holds of it is kept.

    Args:
        folder: The finished run.
        target: The new run's folder.
        selection: What is scored.
        cache: Folder for stores and indexes.
        offline: Refuse the network.
        evidence: What the responder sees instead.
        rankings: A run whose rankings take the place of its own retriever's.

    Raises:
        UsageError: The system cannot do that.
        ConvbenchError: As ``harness.run.run``.
    """
    system, spec = _system(folder), RunFolder(folder).spec()
    if rankings is not None:
        system = system.with_rankings(rankings)
    if evidence is not None:
        system = system.with_conditions(history=None, evidence=evidence)
    changed = spec.model_copy(update={"system": system.model_dump(mode="json")})
    run(changed, target, selection, cache=cache, offline=offline)


def _system(folder: Path) -> SystemConfig:
    return system_config(RunFolder(folder).spec().system, str(folder))
