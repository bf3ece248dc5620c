"""From the scores of turns to the one value of a measure, its interval and its counts; every one is checked before it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convbench.analysis.bootstrap import clustered_interval, clustered_interval_of
from convbench.metrics.base import MISSING, CorpusValue, Measure
from convbench.metrics.invariants import check_aggregate, check_counts, check_scale
from convbench.types import Score, Turn, conversation_of


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
    interval: tuple[float, float] | None
    kind: Literal["mean", "corpus"]
    n_turns: int
    n_conversations: int
    reason: str | None


def aggregate(measure: Measure, scores: Sequence[Score], turns: Sequence[Turn], corpus: CorpusValue | None) -> Aggregated:
    """The value of a measure: turn-weighted mean, or what the metric computed over the corpus.

    Args:
        measure: The measure.
        scores: One score a turn; those without a value are left out of a mean, and said so.
        turns: The turn set.
        corpus: The metric's own value over all turns, where the measure is no mean.

    Raises:
        InvariantError: A value is off its scale, or counts do not add up.
    """
    valued = [(score.turn_id, score.value) for score in scores if score.value is not None]
    left_out = [score for score in scores if score.value is None]
    check_counts(measure.name, len(valued), len(left_out), len(turns), sum(score.reason == MISSING for score in scores))
    for turn_id, value in valued:
        check_scale(f"turn {turn_id}", measure.name, value, measure.scale)
    reason = f"{len(left_out)} turns without a value: {left_out[0].reason}" if left_out else None
    if corpus is not None:
        return _corpus(measure, corpus, [turn_id for turn_id, _ in valued], reason)
    clusters = [conversation_of(turn_id) for turn_id, _ in valued]
    values = [value for _, value in valued]
    if not values:
        return Aggregated(None, None, "mean", 0, 0, reason or "the turn set is empty")
    mean = sum(values) / len(values)
    check_aggregate(measure.name, mean, float(np.mean(values)), measure.scale)
    return Aggregated(mean, clustered_interval(values, clusters), "mean", len(values), len(set(clusters)), reason)


def _corpus(measure: Measure, corpus: CorpusValue, turn_ids: Sequence[str], reason: str | None) -> Aggregated:
    clusters = [conversation_of(turn_id) for turn_id in turn_ids]
    if corpus.value is None:
        return Aggregated(None, None, "corpus", 0, 0, reason or "it is not defined over these turns")
    check_scale("all turns", measure.name, corpus.value, measure.scale)
    interval = None
    if corpus.statistics is not None and corpus.combine is not None:
        interval = clustered_interval_of(corpus.statistics, clusters, corpus.combine)
    return Aggregated(corpus.value, interval, "corpus", len(turn_ids), len(set(clusters)), reason)
