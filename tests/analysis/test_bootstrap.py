from __future__ import annotations

import numpy as np
import pytest

from convbench.analysis.bootstrap import clustered_interval, clustered_intervals


def conversations(chance: np.random.Generator, count: int, *, between: float, within: float) -> tuple[list[float], list[str]]:
    """Scores around 0: each conversation has an effect of its own, shared by its 1 to 12 turns."""
    sizes = chance.integers(1, 13, size=count)
    effects = np.repeat(chance.normal(0, between, size=count), sizes)
    values = effects + chance.normal(0, within, size=sizes.sum())
    return values.tolist(), np.repeat([f"c{n}" for n in range(count)], sizes).tolist()


def test_it_is_the_same_under_a_seed_and_in_any_order() -> None:
    values, clusters = conversations(np.random.default_rng(1), 30, between=1, within=1)
    first = clustered_interval(values, clusters, seed=5)
    assert clustered_interval(values, clusters, seed=5) == first
    assert clustered_interval(values, clusters, seed=6) != first
    order = np.random.default_rng(2).permutation(len(values))
    shuffled = clustered_interval([values[n] for n in order], [clusters[n] for n in order], seed=5)
    assert shuffled == pytest.approx(first)


def test_it_holds_the_mean() -> None:
    values, clusters = conversations(np.random.default_rng(1), 30, between=1, within=1)
    interval = clustered_interval(values, clusters)
    assert interval is not None
    assert interval[0] < np.mean(values) < interval[1]


@pytest.mark.parametrize(("values", "clusters"), [([], []), ([1.0], ["a"]), ([1.0, 0.0, 0.5], ["a", "a", "a"])])
def test_fewer_than_two_conversations_have_no_interval(values: list[float], clusters: list[str]) -> None:
    assert clustered_interval(values, clusters) is None


def test_equal_scores_have_an_interval_of_no_width() -> None:
    assert clustered_interval([0.25] * 6, list("aabbcc")) == (0.25, 0.25)


def test_it_is_the_bootstrap_by_definition() -> None:
    """The same draws, spelled out: whole conversations with replacement, all their turns pooled, then the mean."""
    values = {"a": [1.0, 0.0, 0.0], "b": [1.0], "c": [0.5, 0.5]}
    flat = [(value, name) for name, scores in values.items() for value in scores]
    names = sorted(values)
    draws = np.random.default_rng(3).integers(0, 3, size=(400, 3))
    means = [np.mean([value for n in draw for value in values[names[n]]]) for draw in draws]
    expected = np.quantile(means, [0.05, 0.95])
    found = clustered_interval([value for value, _ in flat], [name for _, name in flat], level=0.9, resamples=400, seed=3)
    assert found == pytest.approx(tuple(expected))


def test_a_higher_level_is_wider() -> None:
    values, clusters = conversations(np.random.default_rng(1), 30, between=1, within=1)
    widths = []
    for level in (0.5, 0.9, 0.99):
        low, high = clustered_interval(values, clusters, level=level) or (0.0, 0.0)
        widths.append(high - low)
    assert widths[0] < widths[1] < widths[2]


def test_clustered_data_need_a_wider_interval_than_independent_turns() -> None:
    values, clusters = conversations(np.random.default_rng(1), 60, between=1, within=0.3)
    low, high = clustered_interval(values, clusters) or (0.0, 0.0)
    naive_low, naive_high = clustered_interval(values, [f"turn {n}" for n in range(len(values))]) or (0.0, 0.0)
    assert high - low > 1.8 * (naive_high - naive_low)


def test_without_a_conversation_effect_the_two_agree() -> None:
    values, clusters = conversations(np.random.default_rng(1), 60, between=0, within=1)
    low, high = clustered_interval(values, clusters) or (0.0, 0.0)
    naive_low, naive_high = clustered_interval(values, [f"turn {n}" for n in range(len(values))]) or (0.0, 0.0)
    assert (high - low) / (naive_high - naive_low) == pytest.approx(1, abs=0.25)


def test_one_turn_a_conversation_is_the_textbook_interval() -> None:
    values = np.random.default_rng(4).normal(10, 2, size=400)
    low, high = clustered_interval(values.tolist(), [str(n) for n in range(400)]) or (0.0, 0.0)
    half = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    """400 data sets of 50 conversations around a true mean of 0: 95 % minus 4 standard errors, and what the percentile method loses."""
    chance = np.random.default_rng(11)
    covered = naive = 0
    for _ in range(400):
        values, clusters = conversations(chance, 50, between=1, within=0.5)
        low, high = clustered_interval(values, clusters, resamples=400) or (0.0, 0.0)
        covered += low <= 0 <= high
        low, high = clustered_interval(values, [str(n) for n in range(len(values))], resamples=400) or (0.0, 0.0)
        naive += low <= 0 <= high
    assert 0.89 <= covered / 400 <= 0.99
    assert naive / 400 < 0.75


def test_measures_that_share_the_draws_have_the_intervals_that_each_has_alone() -> None:
    chance = np.random.default_rng(12)
    values, clusters = conversations(chance, 40, between=1, within=1)
    columns = [values, [0.5] * len(values), chance.random(len(values)).tolist(), values]
    assert clustered_intervals(columns, clusters, seed=2) == [clustered_interval(column, clusters, seed=2) for column in columns]
    assert clustered_intervals([[1.0, 0.0]] * 3, ["a", "a"]) == [None] * 3
    assert clustered_intervals([], ["a", "b"]) == []
