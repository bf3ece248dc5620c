"""Naming runs in a comparison, and who of them competes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from convbench.comparison.task import Entrant, Role
from convbench.harness.finished import FinishedRun

_REFERENCES: Mapping[str, Role] = {"oracle": "ceiling", "random": "floor"}
_NO_VALUE = "none"


def entrants_of(runs: Sequence[FinishedRun]) -> tuple[Entrant, ...]:
    """The runs of one task with unique labels and roles; those that compete come first, else in the order given."""
    labels = _labels(runs)
    evidence = {str(run.results.conditions.get("evidence")) for run in runs if not _reference(run)}
    entrants = [Entrant(label, _role(run, evidence), run) for label, run in zip(labels, runs, strict=True)]
    order: tuple[Role, ...] = ("", "condition", "ceiling", "floor")
    return tuple(sorted(entrants, key=lambda entrant: order.index(entrant.role)))


def _reference(run: FinishedRun) -> Role:
    return _REFERENCES.get(str(run.results.system.get("kind")), "")


def _role(run: FinishedRun, evidence: set[str]) -> Role:
    """A run that was shown other evidence than it retrieved does not compete with runs that were not; among its like it does."""
    if reference := _reference(run):
        return reference
    shown = str(run.results.conditions.get("evidence"))
    return "condition" if len(evidence) > 1 and shown not in ("retrieved", "unknown", "None") else ""


def _labels(runs: Sequence[FinishedRun]) -> list[str]:
    """The systems' names; runs of one name get what tells them apart: conditions, then the folder's name, then a number."""
    conditions = [_flat({**run.results.conditions, "seed": run.results.seed}) for run in runs]
    labels = []
    for run, own in zip(runs, conditions, strict=True):
        others = [other for namesake, other in zip(runs, conditions, strict=True) if namesake.name == run.name]
        varying = [key for key in own if any(other.get(key) != own[key] for other in others)]
        labels.append(f"{run.name} [{', '.join(_phrase(key, own[key]) for key in varying)}]" if varying else run.name)
    for tell_apart in (lambda run, _: run.path.resolve().name, lambda _, place: f"#{place + 1}"):
        times = Counter(labels)
        labels = [
            f"{label} ({tell_apart(run, place)})" if times[label] > 1 else label
            for place, (run, label) in enumerate(zip(runs, labels, strict=True))
        ]
    return labels


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _phrase(key: str, value: Any) -> str:
    """``evidence gold``, ``history full``, ``max_new_tokens 32``: the last part of the key that says something."""
    parts = [part for part in key.split(".") if part != "view"]
    return f"{parts[-1]} {_NO_VALUE if value is None else value}"
