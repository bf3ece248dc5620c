from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from convbench.analysis.clusters import Clusters
from convbench.analysis.intervals import percentile_interval
from convbench.analysis.mean_functions import differences_of_means, ratios_of_means
from convbench.analysis.resampling import Resampling, drawn

PLAN = Resampling(resamples=300, seed=3)


def conversations(count: int, columns: int, *, missing: float = 0.0) -> tuple[NDArray[np.float64], Clusters]:
    chance = np.random.default_rng(count)
    names = [f"c{n}_{turn}" for n in range(count) for turn in range(1, 2 + n % 4)]
    values = chance.normal(0.5, 0.2, size=(len(names), columns))
    values[chance.random(values.shape) < missing] = np.nan
    return values, Clusters.of(names)


def naive_mean(values: NDArray[np.float64], clusters: Clusters, weights: NDArray[np.float64]) -> float:
    total, turns = 0.0, 0.0
    for value, place in zip(values, clusters.index, strict=True):
        if not np.isnan(value):
            total += weights[place] * value
            turns += weights[place]
    return total / turns if turns else np.nan


def samples_of(values: NDArray[np.float64], clusters: Clusters) -> list[float]:
    weights = np.concatenate(list(drawn(len(clusters.names), PLAN)))
    return [naive_mean(values, clusters, row) for row in weights]


def test_the_interval_of_a_ratio_is_that_of_a_loop_over_the_same_draws() -> None:
    values, clusters = conversations(7, 2, missing=0.2)
    ((ratio, base),) = ratios_of_means(values[:, :1], values[:, 1:], clusters, PLAN)
    both = ~np.isnan(values).any(axis=1)
    above, below = (np.where(both, column, np.nan) for column in values.T)
    samples = np.array(samples_of(above, clusters)) / np.array(samples_of(below, clusters))
    assert ratio.value == pytest.approx(values[both, 0].sum() / values[both, 1].sum())
    assert ratio.interval == pytest.approx(tuple(percentile_interval(samples[:, None], PLAN.level)[0]))
    assert ratio.interval == pytest.approx(tuple(np.nanquantile(samples, [0.025, 0.975])))
    assert base.value == pytest.approx(values[both, 1].mean())
    assert (ratio.n_turns, base.n_turns) == (both.sum(), both.sum())


def test_the_interval_of_a_difference_is_that_of_a_loop_over_the_same_draws() -> None:
    values, clusters = conversations(9, 1)
    first, second = np.where(values > 0.5, values, np.nan), np.where(values > 0.5, np.nan, values)
    (gap,) = differences_of_means(first, second, clusters, PLAN)
    samples = np.array(samples_of(first[:, 0], clusters)) - np.array(samples_of(second[:, 0], clusters))
    assert gap.value == pytest.approx(np.nanmean(first) - np.nanmean(second))
    assert gap.interval == pytest.approx(tuple(np.nanquantile(samples, [0.025, 0.975])))
    assert (gap.n_turns, gap.n_conversations) == (len(values), 9)


def test_columns_do_not_touch_each_other() -> None:
    values, clusters = conversations(6, 4)
    together = ratios_of_means(values[:, :2], values[:, 2:], clusters, PLAN)
    alone = [ratios_of_means(values[:, [n]], values[:, [n + 2]], clusters, PLAN)[0] for n in range(2)]
    assert [ratio.value for ratio, _ in together] == pytest.approx([ratio.value for ratio, _ in alone])
    assert together[1][0].interval == pytest.approx(alone[1][0].interval)


def test_a_ratio_over_a_denominator_that_may_be_0_is_undefined() -> None:
    values, clusters = conversations(8, 1)
    swinging = np.where(clusters.index % 2 == 0, 1.0, -1.0)[:, None]
    ((ratio, base),) = ratios_of_means(values, swinging, clusters, PLAN)
    assert base.interval is not None
    assert base.interval[0] < 0 < base.interval[1]
    assert (ratio.value, ratio.interval) == (None, None)
    assert ratio.n_turns == len(values)


def test_a_denominator_that_is_0_everywhere_is_undefined() -> None:
    values, clusters = conversations(8, 1)
    ((ratio, base),) = ratios_of_means(values, np.zeros_like(values), clusters, PLAN)
    assert (ratio.value, base.interval) == (None, (0.0, 0.0))


def test_a_denominator_whose_interval_ends_at_0_is_undefined() -> None:
    clusters = Clusters.of(["a_1", "b_1"])
    ((ratio, base),) = ratios_of_means(np.ones((2, 1)), np.array([[0.0], [1.0]]), clusters, PLAN)
    assert base.interval == (0.0, 1.0)
    assert ratio.value is None


def test_a_negative_denominator_is_no_reason_to_refuse() -> None:
    values, clusters = conversations(8, 1)
    ((ratio, _),) = ratios_of_means(values, -values, clusters, PLAN)
    assert ratio.value == pytest.approx(-1)
    assert ratio.interval == pytest.approx((-1, -1))


def test_one_conversation_has_no_ratio() -> None:
    ((ratio, base),) = ratios_of_means(np.ones((3, 1)), np.ones((3, 1)), Clusters.of(["a_1", "a_2", "a_3"]), PLAN)
    assert (ratio.value, base.value, base.interval) == (None, 1.0, None)


def test_a_side_of_one_conversation_has_a_difference_without_an_interval() -> None:
    clusters = Clusters.of(["a_1", "a_2", "b_1", "c_1"])
    first, second = np.array([[1.0], [1.0], [np.nan], [np.nan]]), np.array([[np.nan], [np.nan], [0.5], [0.0]])
    (gap,) = differences_of_means(first, second, clusters, PLAN)
    assert (gap.value, gap.interval) == (0.75, None)


def test_a_side_without_turns_has_no_difference() -> None:
    clusters = Clusters.of(["a_1", "b_1"])
    (gap,) = differences_of_means(np.ones((2, 1)), np.full((2, 1), np.nan), clusters, PLAN)
    assert (gap.value, gap.interval, gap.n_turns) == (None, None, 2)


@pytest.mark.parametrize("turns", [0, 4])
def test_no_columns_and_no_turns_give_nothing(turns: int) -> None:
    clusters = Clusters.of([f"c{n}_1" for n in range(turns)])
    assert differences_of_means(np.zeros((turns, 0)), np.zeros((turns, 0)), clusters, PLAN) == []
    assert ratios_of_means(np.zeros((turns, 0)), np.zeros((turns, 0)), clusters, PLAN) == []
