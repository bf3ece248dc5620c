"""One system under several conditions: what its responses gain from evidence, and what history does to both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.estimates import Estimate, estimated_columns
from convbench.analysis.mean_functions import ratios_of_means
from convbench.comparison.conditions import evidence_groups, history_groups
from convbench.comparison.consistency_model import EvidenceLadder, EvidenceRung, HistoryLadder, HistoryRung
from convbench.comparison.model import Settings
from convbench.comparison.sides import Sides
from convbench.views.history import OWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS = {
    "gain": ("gold", "none"),
    "gap": ("gold", "retrieved"),
    "distraction": ("gold+noise", "gold"),
    "copy_risk": ("other-turn", "none"),
}
"""Differences of an evidence ladder, first minus second."""

_CAPTURE = ("none", "retrieved", "gold")


def evidence_ladders(sides: Sides, settings: Settings) -> tuple[EvidenceLadder, ...]:
    """The ladder of every system that was run under two evidence conditions or more and responds under each."""
    groups = [kept for group in evidence_groups(sides.task.entrants) if len(kept := _with_values(group, sides.responses)) > 1]
    wanted = {(place, step): pair for place, group in enumerate(groups) for step, pair in _STEPS.items() if set(pair) <= group.keys()}
    rungs = _estimates(sides, settings, [sides.responses[:, entrant] for group in groups for entrant in group.values()])
    steps = _estimates(sides, settings, [_difference(sides.responses, groups[place], *pair) for (place, _), pair in wanted.items()])
    differences = dict(zip(wanted, steps, strict=True))
    captures = _captures(sides, settings, groups)
    values = iter(rungs)
    return tuple(
        EvidenceLadder(
            name=sides.task.entrants[next(iter(group.values()))].name,
            rungs=tuple(EvidenceRung(condition, sides.task.entrants[entrant].label, next(values)) for condition, entrant in group.items()),
            gain=differences.get((place, "gain")),
            gap=differences.get((place, "gap")),
            distraction=differences.get((place, "distraction")),
            copy_risk=differences.get((place, "copy_risk")),
            capture=captures[place][0],
            capture_reason=captures[place][1],
        )
        for place, group in enumerate(groups)
    )


def _captures(sides: Sides, settings: Settings, groups: Sequence[Mapping[str, int]]) -> list[tuple[Estimate | None, str | None]]:
    """(retrieved - none) / (gold - none) of each ladder, and why it is not defined."""
    whole = [place for place, group in enumerate(groups) if set(_CAPTURE) <= group.keys()]
    none, retrieved, gold = (sides.responses[:, [groups[place][rung] for place in whole]] for rung in _CAPTURE)
    ratios = ratios_of_means(retrieved - none, gold - none, sides.task.clusters, settings.resampling)
    known = dict(zip(whole, ratios, strict=True))
    found: list[tuple[Estimate | None, str | None]] = []
    for place, group in enumerate(groups):
        if place in known:
            ratio, base = known[place]
            found.append((ratio, None if ratio.value is not None else _undefined(base)))
        else:
            missing = ", ".join(condition for condition in _CAPTURE if condition not in group)
            found.append((None, f"it needs the system under none, retrieved and gold; not run: {missing}"))
    return found


def _undefined(base: Estimate) -> str:
    if base.value is None:
        return "no turn has a value under none, retrieved and gold"
    if base.interval is None:
        return "one conversation gives gold - none no interval"
    low, high = base.interval
    return (
        f"gold - none is {100 * base.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]: the interval holds 0, so there is nothing to capture"
    )


def history_ladders(sides: Sides, settings: Settings) -> tuple[HistoryLadder, ...]:
    """The ladder of every system that was run under two history views or more."""
    entrants, groups = sides.task.entrants, history_groups(sides.task.entrants)
    every = [entrant for group in groups for entrant in group.values()]
    exposed = [group for group in groups if {"full", OWN} <= group.keys()]
    found = []
    for values in (sides.retrieved, sides.responses):
        rungs = _estimates(sides, settings, [values[:, entrant] for entrant in every])
        gaps = _estimates(sides, settings, [_difference(values, group, "full", OWN) for group in exposed])
        found.append((iter(map(_or_none, rungs)), iter(map(_or_none, gaps))))
    (retrieved, retrieval_gap), (responses, response_gap) = found
    return tuple(
        HistoryLadder(
            name=entrants[next(iter(group.values()))].name,
            rungs=tuple(HistoryRung(view, entrants[entrant].label, next(retrieved), next(responses)) for view, entrant in group.items()),
            exposure=(next(retrieval_gap), next(response_gap)) if group in exposed else None,
        )
        for group in groups
    )


def _with_values(group: Mapping[str, int], values: NDArray[np.float64]) -> dict[str, int]:
    return {condition: entrant for condition, entrant in group.items() if not np.isnan(values[:, entrant]).all()}


def _difference(values: NDArray[np.float64], group: Mapping[str, int], first: str, second: str) -> NDArray[np.float64]:
    """First minus second, turn by turn; NaN where either has no value."""
    return values[:, group[first]] - values[:, group[second]]


def _estimates(sides: Sides, settings: Settings, columns: Sequence[NDArray[np.float64]]) -> list[Estimate]:
    return estimated_columns(columns, sides.task.clusters, settings.resampling)


def _or_none(estimate: Estimate) -> Estimate | None:
    return estimate if estimate.value is not None else None
