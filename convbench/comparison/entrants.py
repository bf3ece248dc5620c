"""Naming runs in a comparison, and who of them competes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from convbench.comparison.task import Entrant, Role
from convbench.harness.finished import FinishedRun
from convbench.harness.names import run_names


def entrants_of(runs: Sequence[FinishedRun]) -> tuple[Entrant, ...]:
    """The runs of one task with unique labels and roles; those that compete come first, else in the order given."""
    labels = _labels(runs)
    evidence = {str(run.results.conditions.get("evidence")) for run in runs if not run.results.reference}
    entrants = [Entrant(label, _role(run, evidence), run) for label, run in zip(labels, runs, strict=True)]
    return tuple(sorted(entrants, key=lambda entrant: get_args(Role).index(entrant.role)))


def _role(run: FinishedRun, evidence: set[str]) -> Role:
    """A run that was shown other evidence than it retrieved does not compete with runs that were not; among its like it does."""
    if reference := run.results.reference:
        return reference
    shown = str(run.results.conditions.get("evidence"))
    return "condition" if len(evidence) > 1 and shown not in ("retrieved", "unknown", "None") else ""


def _labels(runs: Sequence[FinishedRun]) -> list[str]:
    """The systems' names with what tells runs of one name apart: conditions, then the folder's name, then a number."""
    labels = run_names([run.results for run in runs])
    for more in ([run.path.resolve().name for run in runs], [f"#{place}" for place in range(1, len(runs) + 1)]):
        times = Counter(labels)
        labels = [f"{label} ({extra})" if times[label] > 1 else label for label, extra in zip(labels, more, strict=True)]
    return labels
