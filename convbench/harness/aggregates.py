"""From the scores of turns to the one value of a measure, its interval and its counts; every one is checked before it is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convbench.analysis.bootstrap import clustered_interval_of, clustered_intervals
from convbench.metrics.base import MISSING, CorpusValue, Measure
from convbench.metrics.invariants import check_aggregate, check_counts, check_scale
from convbench.types import Score, Turn, conversation_of

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Aggregated:
    """A measure over its turn set.

    Attributes:
        value: The value, None where there is none.
        interval: 95 %, conversations resampled; None where there is nothing to resample.
        kind: ``mean`` of the turns' values, or ``corpus`` where it is computed over all turns at once.
        n_turns: Turns that are in the value.
        n_conversations: Their conversations.
        reason: Why there is no value, or which turns are not in it.
    """

    value: float | None
    interval: Interval | None
    kind: Literal["mean", "corpus"]
    n_turns: int
    n_conversations: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Column:
    """The turns that have a value under a measure, their values, and which have none."""

    turn_ids: tuple[str, ...]
    values: list[float]
    reason: str | None


def aggregate(
    measures: Sequence[Measure], scores: Mapping[str, Sequence[Score]], turns: Sequence[Turn], corpus: Mapping[str, CorpusValue]
) -> list[Aggregated]:
    """The values of measures: turn-weighted means, or what a metric computed over the corpus.

    Args:
        measures: The measures.
        scores: Measure -> one score a turn; those without a value are left out of a mean, and said so.
        turns: The turn set.
        corpus: Measure -> the metric's own value over all turns, where the measure is no mean.

    Raises:
        InvariantError: A value is off its scale, or counts do not add up.
    """
    columns = {measure.name: _column(measure, scores.get(measure.name, ()), turns) for measure in measures}
    conversations = {turn_ids: list(map(conversation_of, turn_ids)) for turn_ids in {column.turn_ids for column in columns.values()}}
    intervals = _intervals({name: column for name, column in columns.items() if name not in corpus}, conversations)
    found = []
    for measure in measures:
        column = columns[measure.name]
        clusters = conversations[column.turn_ids]
        if measure.name in corpus:
            found.append(_corpus(measure, corpus[measure.name], clusters, column.reason))
        else:
            found.append(_mean(measure, column, intervals[measure.name], clusters))
    return found


def _column(measure: Measure, scores: Sequence[Score], turns: Sequence[Turn]) -> _Column:
    valued = [(score.turn_id, score.value) for score in scores if score.value is not None]
    left_out = [score for score in scores if score.value is None]
    check_counts(measure.name, len(valued), len(left_out), len(turns), sum(score.reason == MISSING for score in scores))
    for turn_id, value in valued:
        check_scale(f"turn {turn_id}", measure.name, value, measure.scale)
    reason = f"{len(left_out)} turns without a value: {left_out[0].reason}" if left_out else None
    return _Column(tuple(turn_id for turn_id, _ in valued), [value for _, value in valued], reason)


def _intervals(columns: Mapping[str, _Column], conversations: Mapping[tuple[str, ...], list[str]]) -> dict[str, Interval | None]:
    """The intervals of means; measures that have values of the same turns are resampled together."""
    found: dict[str, Interval | None] = {}
    for turn_ids, clusters in conversations.items():
        together = {name: column.values for name, column in columns.items() if column.turn_ids == turn_ids}
        found |= zip(together, clustered_intervals(list(together.values()), clusters), strict=True)
    return found


def _mean(measure: Measure, column: _Column, interval: Interval | None, clusters: Sequence[str]) -> Aggregated:
    values = column.values
    if not values:
        return Aggregated(None, None, "mean", 0, 0, column.reason or "the turn set is empty")
    mean = sum(values) / len(values)
    check_aggregate(measure.name, mean, float(np.mean(values)), measure.scale)
    return Aggregated(mean, interval, "mean", len(values), len(set(clusters)), column.reason)


def _corpus(measure: Measure, corpus: CorpusValue, clusters: Sequence[str], reason: str | None) -> Aggregated:
    if corpus.value is None:
        return Aggregated(None, None, "corpus", 0, 0, reason or "it is not defined over these turns")
    check_scale("all turns", measure.name, corpus.value, measure.scale)
    interval = None
    if corpus.statistics is not None and corpus.combine is not None:
        interval = clustered_interval_of(corpus.statistics, clusters, corpus.combine)
    return Aggregated(corpus.value, interval, "corpus", len(clusters), len(set(clusters)), reason)
