from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convbench.analysis.bootstrap import clustered_interval, clustered_interval_of
from convbench.errors import InvariantError
from convbench.harness.aggregates import Aggregated, aggregate
from convbench.metrics.base import MISSING, CorpusValue, Measure
from convbench.types import Score, Turn

TURNS = [Turn(f"c{conversation}_{number}", "q") for conversation in range(12) for number in range(1, 8)]
NAMES = ("whole", "holes", "same-holes", "nothing", "corpus", "undefined")
MEASURES = [Measure(name, name, scale="any" if name == "corpus" else "unit") for name in NAMES]


def scores() -> dict[str, list[Score]]:
    chance = np.random.default_rng(3)
    holes = {turn.id for turn in TURNS if chance.random() < 0.3}
    without: dict[str, set[str]] = {"holes": holes, "same-holes": holes, "nothing": {turn.id for turn in TURNS}}

    def score(name: str, turn: Turn) -> Score:
        absent = turn.id in without.get(name, ())
        return Score(turn.id, name, None if absent else float(chance.random()), "no answer" if absent else None)

    return {name: [score(name, turn) for turn in TURNS] for name in NAMES}


def test_measures_together_are_what_each_is_alone() -> None:
    found, statistics = scores(), np.random.default_rng(4).random((len(TURNS), 2))

    def ratio(sums: Any) -> float:
        return float(sums[0] / sums[1])

    corpus = {"corpus": CorpusValue(7.5, statistics, ratio), "undefined": CorpusValue(None)}
    aggregated = dict(zip(NAMES, aggregate(MEASURES, found, TURNS, corpus), strict=True))
    for name in ("whole", "holes", "same-holes"):
        kept = [score for score in found[name] if score.value is not None]
        values, clusters = [score.value or 0.0 for score in kept], [score.turn_id.partition("_")[0] for score in kept]
        left_out = len(TURNS) - len(kept)
        reason = f"{left_out} turns without a value: no answer" if left_out else None
        mean, interval = sum(values) / len(values), clustered_interval(values, clusters)
        assert aggregated[name] == Aggregated(mean, interval, "mean", len(values), len(set(clusters)), reason)
    assert aggregated["nothing"] == Aggregated(None, None, "mean", 0, 0, f"{len(TURNS)} turns without a value: no answer")
    clusters = [turn.conversation_id for turn in TURNS]
    interval = clustered_interval_of(statistics, clusters, ratio)
    assert aggregated["corpus"] == Aggregated(7.5, interval, "corpus", len(TURNS), 12, None)
    assert aggregated["undefined"] == Aggregated(None, None, "corpus", 0, 0, "it is not defined over these turns")


def test_a_measure_without_any_score_over_no_turns() -> None:
    assert aggregate([MEASURES[0]], {}, [], {}) == [Aggregated(None, None, "mean", 0, 0, "the turn set is empty")]


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), float("inf")])
def test_a_value_that_cannot_be_right_is_not_averaged(value: float) -> None:
    found = scores()["whole"]
    found[3] = Score(found[3].turn_id, "whole", value)
    with pytest.raises(InvariantError, match=f"turn {found[3].turn_id}"):
        aggregate([MEASURES[0]], {"whole": found}, TURNS, {})


def test_scores_that_do_not_add_up() -> None:
    found = scores()["whole"]
    with pytest.raises(InvariantError, match="whole has 83 values"):
        aggregate([MEASURES[0]], {"whole": found[1:]}, TURNS, {})
    twice = [*found, Score("c0_9", "whole", None, MISSING)]
    with pytest.raises(InvariantError):
        aggregate([MEASURES[0]], {"whole": twice}, TURNS, {})
