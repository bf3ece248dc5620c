"""The metrics of a track: the measures that it names, each by the first protocol that has it, and nothing else computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from convbench.datasets.loading import Dataset
from convbench.errors import ResourceError, UsageError
from convbench.leaderboard.track import Side, Track
from convbench.metrics.protocol import Part, Protocol, ScoringPart, build_metric, load_protocol, scoring_parts
from convbench.registry import did_you_mean


def sides_of(track: Track) -> dict[str, Side]:
    """Measure -> its side, for every measure of a track, retrieval first."""
    sides: tuple[tuple[Side, tuple[str, ...]], ...] = (
        ("retrieval", track.retrieval.measures if track.retrieval else ()),
        ("response", track.response.measures if track.response else ()),
    )
    return {measure: side for side, measures in sides for measure in measures}


def ranking_measures(track: Track) -> tuple[str, ...]:
    """The measures that order the standings of a track."""
    return tuple(ranked.by for ranked in (track.retrieval, track.response) if ranked is not None)


def parts_of(track: Track, dataset: Dataset) -> list[ScoringPart]:
    """The metrics that a track's measures need, each with those measures alone.

    A measure is taken from the track's protocol, where it names one that has it, else from the first of the dataset's.

    Raises:
        UsageError: No protocol has a measure.
    """
    names = dict.fromkeys([*([track.protocol] if track.protocol else []), *dataset.card.protocols])
    wanted = dict.fromkeys(sides_of(track))
    parts: list[ScoringPart] = []
    seen: dict[str, None] = {}
    for protocol in map(load_protocol, names):
        narrowed = list(_narrowed(protocol, wanted, seen))
        parts += scoring_parts(protocol.model_copy(update={"parts": narrowed}), dataset, {}) if narrowed else []
    if missing := [measure for measure in wanted if measure not in seen]:
        known = f"{did_you_mean(missing[0], seen)} Looked for in: {', '.join(names)}"
        raise UsageError(f"track {track.name}: no protocol has the measure {missing[0]!r}.{known}")
    return parts


def _narrowed(protocol: Protocol, wanted: dict[str, None], seen: dict[str, None]) -> Iterator[Part]:
    """The parts of a protocol that have wanted measures that no earlier one had, cut down to those; they are added to ``seen``."""
    for part in protocol.parts:
        own = [name for name in _measures(part) if name in wanted and name not in seen]
        if own:
            seen.update(dict.fromkeys(own))
            settings = {**part.settings, "measures": own} if "measures" in part.settings else part.settings
            yield part.model_copy(update={"settings": settings})


def _measures(part: Part) -> list[str]:
    """Names of a part's measures; a family without a choice of measures says them itself, unless it lacks something for that."""
    if "measures" in part.settings:
        return list(part.settings["measures"])
    with suppress(ResourceError):
        return [measure.name for measure in build_metric(part.metric, {}).measures()]
    return []
