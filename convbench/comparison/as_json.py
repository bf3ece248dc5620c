"""A comparison as plain values: what ``comparison.json`` holds and ``--json`` prints. Turn values stay in the run folders."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any

from convbench.comparison.model import Comparison, Measured, TaskComparison
from convbench.comparison.task import Entrant

SCHEMA = "convbench.comparison/1"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Every number of a comparison, in full precision; the same runs give the same values."""
    return {
        "schema": SCHEMA,
        "convbench_version": comparison.convbench_version,
        "settings": asdict(comparison.settings),
        "tasks": [_task(task) for task in comparison.tasks],
    }


def _task(compared: TaskComparison) -> dict[str, Any]:
    task = compared.task
    return {
        "id": task.id,
        "title": task.title,
        "dataset": task.entrants[0].run.results.dataset.model_dump(mode="json"),
        "baseline": compared.baseline,
        "family": asdict(compared.family),
        "entrants": [_entrant(entrant) for entrant in task.entrants],
        "measures": [_measured(measured) for measured in compared.measured],
        "slices": [asdict(table) for table in compared.slices],
        "consistency": _plain(compared.consistency),
        "tiers": _plain(compared.tiers),
        "notes": list(compared.notes),
    }


def _entrant(entrant: Entrant) -> dict[str, Any]:
    results = entrant.run.results
    return {
        "label": entrant.label,
        "role": entrant.role,
        "system": entrant.name,
        "conditions": results.conditions,
        "seed": results.seed,
        "run_sha256": results.run_sha256,
    }


def _measured(measured: Measured) -> dict[str, Any]:
    return {
        **asdict(measured.measure),
        "key": measured.measure.key,
        "systems": {label: asdict(value) for label, value in measured.systems.items()},
        "contrasts": [asdict(contrast) for contrast in measured.contrasts],
    }


def _plain(value: Any) -> Any:
    """Like ``asdict``, but keys of mappings that are pairs become ``one / other``, as JSON knows only text there."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {" / ".join(key) if isinstance(key, tuple) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
