from __future__ import annotations

import dataclasses
import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from convbench.analysis.clusters import Clusters
from convbench.analysis.estimates import Estimate, estimated_means
from convbench.analysis.paired import PairedDifference, differences_of, minimum_detectable, paired_differences, pairs_of
from convbench.analysis.resampling import Resampling, bootstrap_means, sign_flip_p

PLAN = Resampling(400)


def made(seed: int, conversations: int, columns: int = 1, *, missing: float = 0.0) -> tuple[NDArray[np.float64], Clusters]:
    """Differences with many zeros, and a value shared by the turns of a conversation."""
    chance = np.random.default_rng(seed)
    sizes = chance.integers(1, 9, size=conversations)
    names = [f"c{n}" for n in range(conversations) for _ in range(sizes[n])]
    values = np.repeat(chance.normal(size=(conversations, columns)), sizes, axis=0) + chance.normal(size=(len(names), columns))
    values[chance.random(values.shape) < 0.4] = 0
    values[chance.random(values.shape) < missing] = np.nan
    return values, Clusters.named(names)


def one(values: list[float], turn_ids: list[str]) -> PairedDifference:
    return paired_differences(np.array(values)[:, None], Clusters.of(turn_ids), PLAN)[0]


def test_every_number_by_its_definition() -> None:
    values, clusters = made(1, 20, 3, missing=0.2)
    samples, p_values = bootstrap_means(values, clusters, PLAN), sign_flip_p(values, clusters, PLAN)
    for column, found in enumerate(paired_differences(values, clusters, PLAN)):
        there = ~np.isnan(values[:, column])
        turns = values[there, column].tolist()
        assert found.mean == pytest.approx(sum(turns) / len(turns))
        assert found.interval == pytest.approx(tuple(np.quantile(samples[:, column], [0.025, 0.975])))
        assert found.p == p_values[column]
        assert found.standard_error == pytest.approx(np.std(samples[:, column], ddof=1))
        assert found.detectable == pytest.approx(2.8015852 * np.std(samples[:, column], ddof=1))
        assert found.effect == pytest.approx(np.mean(turns) / np.std(turns, ddof=1))
        assert (found.wins, found.ties, found.losses) == (sum(v > 0 for v in turns), sum(v == 0 for v in turns), sum(v < 0 for v in turns))
        assert found.n_turns == len(turns)
        assert found.n_conversations == len(set(clusters.index[there].tolist()))


@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_swapping_the_systems_mirrors_everything(seed: int, conversations: int) -> None:
    values, clusters = made(seed, conversations, missing=0.1)
    there, back = paired_differences(values, clusters, PLAN)[0], paired_differences(-values, clusters, PLAN)[0]
    if there.mean is None or there.n_conversations < 2:
        return
    assert back.mean == pytest.approx(-there.mean)
    for mine, other in ((there.interval, back.interval), (there.bca, back.bca)):
        assert mine is not None
        assert other is not None
        assert other == pytest.approx((-mine[1], -mine[0]), abs=1e-9)
    assert (back.wins, back.ties, back.losses) == (there.losses, there.ties, there.wins)
    assert back.p == there.p
    assert back.standard_error == pytest.approx(there.standard_error)
    assert back.correlation == pytest.approx(there.correlation, abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_adding_a_constant_shifts_the_mean_and_both_intervals(seed: int, shift: float) -> None:
    values, clusters = made(seed, 10)
    before, after = paired_differences(np.column_stack([values, values + shift]), clusters, PLAN)
    assert after.mean == pytest.approx((before.mean or 0) + shift, abs=1e-9)
    assert after.standard_error == pytest.approx(before.standard_error)
    for mine, other in ((before.interval, after.interval), (before.bca, after.bca)):
        assert mine is not None
        assert other == pytest.approx((mine[0] + shift, mine[1] + shift), abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
@settings(max_examples=30, deadline=None)
def test_the_unit_does_not_matter(seed: int, factor: float) -> None:
    values, clusters = made(seed, 10)
    before, after = paired_differences(np.column_stack([values, values * factor]), clusters, PLAN)
    assert before.p == after.p
    assert after.effect == pytest.approx(before.effect)
    assert after.correlation == pytest.approx(before.correlation, abs=1e-9)
    assert before.bca is not None
    assert after.bca == pytest.approx((before.bca[0] * factor, before.bca[1] * factor), rel=1e-6, abs=1e-9 * factor)


def test_columns_and_the_order_of_turns_do_not_matter() -> None:
    values, clusters = made(4, 15, 5, missing=0.2)
    together = paired_differences(values, clusters, PLAN)
    names = np.array(clusters.names)[clusters.index]
    order = np.random.default_rng(0).permutation(len(values))
    shuffled = Clusters.named(names[order].tolist())
    for column in range(5):
        alone = paired_differences(values[order][:, [column]], shuffled, PLAN)[0]
        for field in dataclasses.fields(PairedDifference):
            assert getattr(alone, field.name) == pytest.approx(getattr(together[column], field.name), rel=1e-9)


def test_the_same_twice() -> None:
    values, clusters = made(4, 15, 2)
    assert paired_differences(values, clusters, PLAN) == paired_differences(values, clusters, PLAN)
    assert paired_differences(values, clusters, PLAN) != paired_differences(values, clusters, Resampling(400, seed=1))


def test_equal_systems() -> None:
    found = one([0.0] * 6, ["a_1", "a_2", "b_1", "b_2", "c_1", "d_1"])
    assert (found.mean, found.interval, found.bca, found.p) == (0, (0, 0), (0, 0), 1)
    assert (found.standard_error, found.detectable, found.effect, found.correlation) == (0, 0, None, None)
    assert (found.wins, found.ties, found.losses) == (0, 6, 0)


def test_differences_that_are_equal_but_for_rounding_have_no_effect_size() -> None:
    found = one([0.3 - 0.2, 0.2 - 0.1, 0.7 - 0.6, 0.1], ["a_1", "a_2", "b_1", "b_2"])
    assert found.effect is None
    assert found.correlation is None
    assert found.bca == pytest.approx((0.1, 0.1))
    assert one([0.1 + 0.2 - 0.3, 0.0, 1.0], ["a_1", "b_1", "c_1"]).ties == 2


def test_one_conversation_has_a_mean_and_no_inference() -> None:
    found = one([0.5, 0.0, float("nan")], ["a_1", "a_2", "b_1"])
    assert found.mean == 0.25
    assert (found.interval, found.bca, found.p, found.standard_error, found.detectable) == (None, None, None, None, None)
    assert (found.n_turns, found.n_conversations, found.wins, found.ties) == (2, 1, 1, 1)


def test_nothing_to_compare() -> None:
    empty = PairedDifference(None, None, None, None, None, None, None, None, 0, 0, 0, 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert one([float("nan")] * 3, ["a_1", "b_1", "b_2"]) == empty
        assert paired_differences(np.zeros((0, 2)), Clusters.of([]), PLAN) == [empty, empty]
        assert paired_differences(np.zeros((3, 0)), Clusters.of(["a_1", "b_1", "b_2"]), PLAN) == []
        assert estimated_means(np.zeros((0, 1)), Clusters.of([]), PLAN) == [Estimate(None, None, 0, 0)]
        assert estimated_means(np.full((2, 1), np.nan), Clusters.of(["a_1", "b_1"]), PLAN) == [Estimate(None, None, 0, 0)]


def test_a_column_that_few_conversations_have_is_compared_over_them_without_a_warning() -> None:
    values = np.full((40, 1), np.nan)
    values[3], values[17] = 0.5, 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = paired_differences(values, Clusters.of([f"c{n:02}_1" for n in range(40)]), PLAN)[0]
    assert found.mean == pytest.approx(0.4)
    assert found.n_conversations == 2
    assert found.interval == pytest.approx((0.3, 0.5))
    assert found.p is not None
    assert found.p > 0.4  # half of the flips of two conversations are as extreme


def test_estimates_by_their_definition() -> None:
    values, clusters = made(8, 20, 2, missing=0.3)
    samples = bootstrap_means(values, clusters, PLAN)
    for column, found in enumerate(estimated_means(values, clusters, PLAN)):
        turns = values[~np.isnan(values[:, column]), column]
        assert found.value == pytest.approx(turns.mean())
        assert found.interval == pytest.approx(tuple(np.quantile(samples[:, column], [0.025, 0.975])))
        assert found.n_turns == len(turns)
    alone = estimated_means(np.array([[1.0], [0.0]]), Clusters.of(["a_1", "a_2"]), PLAN)[0]
    assert alone == Estimate(0.5, None, 2, 1)


def test_what_can_be_detected_is_detected_four_times_of_five() -> None:
    """By the normal formula itself: power at the printed difference, 100,000 draws, standard error 0.0013."""
    error = 0.3
    drawn = np.random.default_rng(0).normal(minimum_detectable(error), error, size=100_000)
    assert np.mean(np.abs(drawn) > 1.959964 * error) == pytest.approx(0.8, abs=0.006)
    assert minimum_detectable(error, 0.99) > minimum_detectable(error) > minimum_detectable(error, power=0.5)


def test_pairs() -> None:
    assert pairs_of(range(3)) == [(1, 0), (2, 0), (2, 1)]
    assert pairs_of(range(3), baseline=1) == [(0, 1), (2, 1)]
    assert pairs_of([4]) == pairs_of([]) == pairs_of([4], baseline=4) == []
    assert {frozenset(pair) for pair in pairs_of(range(10))} == {frozenset(pair) for pair in itertools.combinations(range(10), 2)}
    values = np.array([[1.0, 2.0, 4.0], [np.nan, 0.0, 1.0]])
    assert np.array_equal(differences_of(values, pairs_of(range(3))), [[1, 3, 2], [np.nan, np.nan, 1]], equal_nan=True)
    assert differences_of(values, []).shape == (2, 0)
