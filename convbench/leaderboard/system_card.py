"""The part of a card that the results of a run say: conditions, decoding, cost, scores, and the baseline that it is a run of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from convbench.harness.plan import system_config
from convbench.harness.results import Cost, MetricResult, Results
from convbench.leaderboard.card import CostCard, Kind
from convbench.leaderboard.track import Track
from convbench.systems.catalog import baseline_names, system_source
from convbench.systems.competing import kind_of
from convbench.systems.named_checkpoints import with_folders

_SIDES: Mapping[str, str] = {"retrieval": "ranking", "response": "response"}


def kind(system: Mapping[str, Any]) -> str:
    """The kind of a system of ours as a card names it, from its settings."""
    found = kind_of(system)
    return found if found in get_args(Kind) else "other"


def conditions(results: Results) -> dict[str, str | None]:
    """History, rewriter and evidence as a card names them; None where the run does not know, or has none."""
    given = results.conditions
    history = given.get("history")
    values = {
        "history": history.get("view") if isinstance(history, Mapping) else history,
        "rewriter": given.get("rewriter"),
        "evidence": given.get("evidence"),
    }
    return {key: str(value) if value not in (None, "unknown") else None for key, value in values.items()}


def decoding(results: Results) -> str | None:
    """How responses were decoded, in words; None for a system that makes none, or is not known."""
    settings = results.conditions.get("decoding")
    generator = results.system.get("generator")
    if isinstance(generator, Mapping):
        settings, name = generator.get("decoding"), str(generator.get("type"))
    else:
        name = str(generator) if isinstance(generator, str) else ""
    words = [f"{key}={value}" for key, value in settings.items() if value is not None] if isinstance(settings, Mapping) else []
    return ": ".join(filter(None, (name, ", ".join(words))))[:200] or None


def cost(measured: Cost) -> CostCard:
    """What a run cost a turn; what is apart from answering turns, such as building an index, is left out."""
    machine = measured.environment
    return CostCard(
        ms_per_turn=sum(phase.ms_per_turn or 0.0 for phase in measured.phases),
        tokens_in=measured.tokens_in,
        tokens_out=measured.tokens_out,
        index_bytes=measured.index_bytes,
        price=measured.server.price if measured.server else None,
        machine=f"{machine.device or 'cpu'}, {machine.processor}, {machine.threads} threads" if machine else None,
    )


def scores(results: Results, track: Track) -> dict[str, float]:
    """The values of the track's measures, under the track's names; measures without a value are left out."""
    values = {}
    for side, ranked in (("retrieval", track.retrieval), ("response", track.response)):
        for name in ranked.measures if ranked else ():
            if (found := _measured(results, name, _SIDES[side], track.protocol)) is not None and found.value is not None:
                values[name] = found.value
    return values


def _measured(results: Results, name: str, side: str, protocol: str | None) -> MetricResult | None:
    """The result that a track means by a measure's name: its own protocol's, before any other's."""
    found = [metric for metric in results.metrics if name in (metric.name, metric.key) and metric.side == side]
    return next((metric for metric in found if metric.protocol == protocol), found[0] if found else None)


def baseline(system: Mapping[str, Any], named: str | None) -> str | None:
    """The shipped baseline that a run is one of; None: it is none.

    Args:
        system: The run's system, as results hold it.
        named: A baseline that is named by the run's makers; with its checkpoints anywhere, it is still that baseline.
    """
    name = named or str(system.get("name"))
    if name not in baseline_names():
        return None
    source = system_source(name)
    shipped = system_config(source.values, source.origin).model_dump(mode="json")
    ours = {**system, "description": shipped.get("description")}
    if ours == shipped:
        return name
    if named is not None and with_folders(ours, lambda _: "") == with_folders(shipped, lambda _: ""):
        return name
    return None
