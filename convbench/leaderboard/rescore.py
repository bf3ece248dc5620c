"""Scoring a submission again, with the metrics that ``convbench run`` scores with: its values are those of ``results.json``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from convbench.analysis.slices.labelling import Labelled, labelled_turns
from convbench.harness.placed import has_side
from convbench.harness.results import MetricResult
from convbench.leaderboard.measures import ranking_measures, sides_of
from convbench.leaderboard.pairs import PairCache, scores_of
from convbench.leaderboard.track import Side
from convbench.leaderboard.track_data import TrackData
from convbench.leaderboard.verified import MeasuredScore
from convbench.types import TurnRecord

Means = dict[str, tuple[float, int]]
"""Label -> (mean of the turns that have a value, how many they are)."""

_DIGITS = 9
"""Of interval ends: what lies beyond differs between processors, and the file must not."""


@dataclass(frozen=True, slots=True)
class Rescored:
    """A submission, scored again.

    Attributes:
        scores: What was measured, in the track's order.
        results: The same as a run's results have it.
        by_turn: Ranking measure -> a value a turn, in the dataset's order; None where a turn has none.
    """

    scores: tuple[MeasuredScore, ...]
    results: tuple[MetricResult, ...]
    by_turn: Mapping[str, tuple[float | None, ...]]


def rescore(records: Mapping[str, TurnRecord], data: TrackData, pairs: PairCache | None = None) -> Rescored:
    """Scores the records of a submission under the measures of its track.

    A side that no record has (the responses of a retriever) is left out; a measure that cannot be computed here stands there without a
    value, and says why.

    Args:
        records: The submission's run, by turn id.
        data: The track.
        pairs: Values of text pairs that were compared before.

    Raises:
        InvariantError: A number cannot be right.
    """
    wanted, by = sides_of(data.track), ranking_measures(data.track)
    found: dict[str, MeasuredScore] = {}
    results: list[MetricResult] = []
    by_turn: dict[str, tuple[float | None, ...]] = {}
    labelled = labelled_turns(data.dataset.conversations, [records], data.track.slices)
    for placed in data.parts:
        if not any(has_side(record, placed.part.metric.needs) for record in records.values()):
            continue
        scores = placed.counted(scores_of(placed, records, data.store, pairs))
        for result in placed.results(scores, records, data.collection_sha256):
            if result.name not in wanted:
                continue
            results.append(result)
            values = {score.turn_id: score.value for score in scores if score.measure == result.name}
            orders = result.name in by and result.aggregate == "mean"
            found[result.name] = _measured(result, wanted[result.name], values if orders else {}, labelled)
            if orders:
                by_turn[result.name] = tuple(values.get(turn_id) for turn_id in data.turn_ids)
    found |= {score.measure: score for score in _not_computed(records, data)}
    return Rescored(tuple(found[measure] for measure in wanted if measure in found), tuple(results), by_turn)


def _measured(result: MetricResult, side: Side, values: Mapping[str, float | None], labelled: Sequence[Labelled]) -> MeasuredScore:
    """The score; with slices and depths where there are values of turns."""
    return MeasuredScore(
        measure=result.name,
        side=side,
        signature=result.signature,
        value=result.value,
        interval=(round(result.ci[0], _DIGITS), round(result.ci[1], _DIGITS)) if result.ci else None,
        n_turns=result.n_turns,
        n_conversations=result.n_conversations,
        higher_is_better=result.higher_is_better,
        scale=result.scale,
        reason=result.reason,
        slices=_sliced(values, labelled) if values else {},
        by_depth=_by_depth(values),
    )


def _not_computed(records: Mapping[str, TurnRecord], data: TrackData) -> Iterable[MeasuredScore]:
    """The measures of families that lack something here: their names begin with the family's, or all of its part's were asked for."""
    wanted = sides_of(data.track)
    computed = {measure.name for placed in data.parts for measure in placed.part.metric.measures()}
    for unavailable in data.unavailable:
        metric = unavailable.part.metric
        if not any(has_side(record, metric.needs) for record in records.values()):
            continue
        for measure, side in wanted.items():
            if measure not in computed and measure.startswith(metric.name):
                yield MeasuredScore(measure=measure, side=side, signature="", value=None, reason=unavailable.reason)


def _sliced(values: Mapping[str, float | None], labelled: Sequence[Labelled]) -> dict[str, Means]:
    return {
        slicing.name: _means((label, value) for turn_id, value in values.items() for label in slicing.labels.get(turn_id, ()))
        for slicing in labelled
    }


def _by_depth(values: Mapping[str, float | None]) -> Means:
    """By the number of the turn in its conversation, ascending."""
    means = _means((turn_id.rpartition("_")[2], value) for turn_id, value in values.items())
    return {depth: means[depth] for depth in sorted(means, key=int)}


def _means(pairs: Iterable[tuple[str, float | None]]) -> Means:
    """Exact sums, so that the order of turns and the processor do not matter."""
    grouped: dict[str, list[float]] = {}
    for label, value in pairs:
        if value is not None:
            grouped.setdefault(label, []).append(value)
    return {label: (math.fsum(found) / len(found), len(found)) for label, found in sorted(grouped.items())}
