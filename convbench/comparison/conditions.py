"""Runs of one system under several conditions: which differ in nothing but the evidence, or in nothing but the history."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from convbench.comparison.task import Entrant
from convbench.harness.names import history_view
from convbench.views.evidence import EVIDENCE_LADDER
from convbench.views.history import OWN, REWRITE

_PLACES = {"query": 0, "queries": 1, "full": 3, OWN: 4, REWRITE: 5}
_LAST = re.compile(r"last-(\d+)")


def evidence_groups(entrants: Sequence[Entrant]) -> list[dict[str, int]]:
    """Condition -> place of the entrant, for every system that was run under two conditions or more; rungs in order.

    A system is the same where its name, all its settings, the other conditions and the seed are. Oracle and chance make no ladder, nor do
    runs of other tools, whose conditions are not known.
    """
    return _groups(entrants, _evidence, _other_than_evidence, EVIDENCE_LADDER.index)


def history_groups(entrants: Sequence[Entrant]) -> list[dict[str, int]]:
    """The same for history views; ``rewrite`` is the human rewrite alone."""
    return _groups(entrants, _history, _other_than_history, history_order)


def history_order(view: str) -> tuple[int, int]:
    """What history views are sorted by: query, queries, last-1, last-2 ..., full, full-own, rewrite."""
    if match := _LAST.fullmatch(view):
        return 2, int(match[1])
    return _PLACES[view], 0


def generator_of(entrant: Entrant) -> str:
    """Which system wrote the responses."""
    return entrant.name


def retriever_of(entrant: Entrant) -> str:
    """Which system made the rankings: that of ``--rankings``, else its own."""
    return str(entrant.run.results.conditions.get("rankings") or entrant.name)


def settings_of(entrant: Entrant, *without: str) -> str:
    """Everything that a run was made with apart from some conditions, as text that is the same for the same settings."""
    results = entrant.run.results
    made_with = [_without(results.system, without), _without(results.conditions, without), results.seed]
    return json.dumps(made_with, sort_keys=True, default=str)


def _groups(
    entrants: Sequence[Entrant],
    condition: Callable[[Entrant], str | None],
    others: Callable[[Entrant], str],
    order: Callable[[str], Any],
) -> list[dict[str, int]]:
    groups: dict[str, dict[str, int]] = {}
    for place, entrant in enumerate(entrants):
        if (rung := condition(entrant)) is not None:
            groups.setdefault(others(entrant), {}).setdefault(rung, place)  # the first of two runs under one condition
    return [{rung: group[rung] for rung in sorted(group, key=order)} for group in groups.values() if len(group) > 1]


def _evidence(entrant: Entrant) -> str | None:
    shown = entrant.run.results.conditions.get("evidence")
    return shown if shown in EVIDENCE_LADDER and not entrant.is_reference else None


def _other_than_evidence(entrant: Entrant) -> str:
    return settings_of(entrant, "evidence")


def _history(entrant: Entrant) -> str | None:
    """The view; a rewriter other than the human one is another system, and rewrites beside a history are no rung."""
    conditions = entrant.run.results.conditions
    view = history_view(conditions)
    beside = conditions.get("rewriter") == "human" and view != REWRITE
    known = view is not None and (view in _PLACES or _LAST.fullmatch(view) is not None)
    return view if known and not beside else None


def _other_than_history(entrant: Entrant) -> str:
    """The way in which a session is written stays; the view goes, and with it the human rewriter."""
    conditions = entrant.run.results.conditions
    history = _without(conditions.get("history") or {}, ("view",))
    rewriter = conditions.get("rewriter")
    return json.dumps([settings_of(entrant, "history", "rewriter"), history, None if rewriter in ("none", "human") else rewriter])


def _without(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}
