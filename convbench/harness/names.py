"""Names of runs: a system's, with what tells several runs of it apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convbench.harness.results import Results
from convbench.views.history import REWRITE


def run_names(runs: Sequence[Results]) -> list[str]:
    """A name a run: the system's; where several runs have it, with the conditions in which they differ: ``mine (evidence gold)``.

    What more than half of them have in common goes without saying.
    """
    names = [str(run.system["name"]) for run in runs]
    conditions = [_conditions(run) for run in runs]
    found = []
    for name, own in zip(names, conditions, strict=True):
        held = [other for namesake, other in zip(names, conditions, strict=True) if namesake == name]
        differing = [f"{key} {value}" for key, value in own.items() if 2 * sum(other.get(key) == value for other in held) <= len(held)]
        found.append(f"{name} ({', '.join(differing)})" if differing else name)
    return found


def history_view(conditions: Mapping[str, Any]) -> str | None:
    """The history view under a run's conditions: ``rewrite`` for the human rewrite alone; None where none is named."""
    history = conditions.get("history")
    view = history.get("view") if isinstance(history, Mapping) else None
    if not isinstance(view, str):
        return None
    return REWRITE if view == "query" and conditions.get("rewriter") == "human" else view


def _conditions(run: Results) -> dict[str, str]:
    """Every condition and the seed, each as a few words; of a history its view, unless it is the human rewrite."""
    given: dict[str, Any] = {**run.conditions, "seed": run.seed}
    if view := history_view(run.conditions):
        given["history"] = view
        given["rewriter"] = None if given.get("rewriter") in ("none", "human") else given.get("rewriter")
    return {key: _in_words(value) for key, value in given.items()}


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_in_words(item)}" for key, item in value.items())
    return "none" if value is None else str(value)
