from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import convbench.analysis.resampling as resampling
from convbench.analysis.clusters import Clusters
from convbench.analysis.resampling import Resampling, bootstrap_each, bootstrap_means, jackknife_means, sign_flip_p, smallest_p


def data(seed: int, conversations: int, columns: int = 1, *, missing: float = 0.0) -> tuple[NDArray[np.float64], Clusters]:
    chance = np.random.default_rng(seed)
    sizes = chance.integers(1, 13, size=conversations)
    names = [f"c{n}" for n in range(conversations) for _ in range(sizes[n])]
    values = np.repeat(chance.normal(size=(conversations, columns)), sizes, axis=0) + chance.normal(size=(len(names), columns))
    values[chance.random(values.shape) < missing] = np.nan
    return values, Clusters.named(names)


def turns_of(values: NDArray[np.float64], clusters: Clusters, place: int) -> list[float]:
    return [value for value in values[clusters.index == place, 0].tolist() if not np.isnan(value)]


@pytest.mark.parametrize("missing", [0.0, 0.6])
def test_bootstrap_means_are_means_over_the_turns_of_drawn_conversations(missing: float) -> None:
    values, clusters = data(1, 9, missing=missing)
    draws = np.random.default_rng(4).integers(0, 9, size=(300, 9))
    pooled = [[value for place in draw for value in turns_of(values, clusters, place)] for draw in draws]
    expected = [np.mean(turns) if turns else np.nan for turns in pooled]
    found = bootstrap_means(values, clusters, Resampling(300, seed=4))[:, 0]
    assert np.allclose(found, expected, atol=1e-12, equal_nan=True)


def test_blocks_are_one_stream_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values, clusters = data(2, 50, 3)
    whole = bootstrap_means(values, clusters, Resampling(501))
    monkeypatch.setattr(resampling, "_BLOCK", 777)
    assert np.allclose(bootstrap_means(values, clusters, Resampling(501)), whole, atol=1e-13)


def test_columns_share_draws() -> None:
    values, clusters = data(3, 20, 2)
    both = np.column_stack([values, values[:, 0] - values[:, 1]])
    samples = bootstrap_means(both, clusters, Resampling(400))
    assert np.allclose(samples[:, 0] - samples[:, 1], samples[:, 2], atol=1e-12)


def test_a_resample_without_a_value_has_no_mean() -> None:
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [np.nan, np.nan]])
    samples = bootstrap_means(values, Clusters.of(["a_1", "b_1", "c_1"]), Resampling(2000))
    held = ~np.isnan(samples[:, 0])
    assert np.all(samples[held, 0] == 1.0)
    assert abs(np.mean(~held) - (2 / 3) ** 3) < 0.04
    assert np.isnan(samples[:, 1]).all()


def test_jackknife_leaves_out_one_conversation_after_the_other() -> None:
    values, clusters = data(5, 12, missing=0.3)
    expected = []
    for left_out in range(12):
        pooled = [value for place in range(12) if place != left_out for value in turns_of(values, clusters, place)]
        expected.append(np.mean(pooled))
    assert np.allclose(jackknife_means(values, clusters)[:, 0], expected, atol=1e-12)


def test_a_jackknife_that_leaves_nothing_is_not_defined() -> None:
    found = jackknife_means(np.array([[1.0], [np.nan]]), Clusters.of(["a_1", "b_1"]))
    assert np.isnan(found[0, 0])
    assert found[1, 0] == 1.0


def test_p_counts_the_flips_that_are_as_extreme() -> None:
    values, clusters = data(6, 15)
    sums = [sum(turns_of(values, clusters, place)) for place in range(15)]
    signs = 2 * np.random.default_rng(9).integers(0, 2, size=(250, 15), dtype=np.int8).astype(int) - 1
    extreme = sum(abs(sum(sign * total for sign, total in zip(flip, sums, strict=True))) >= abs(sum(sums)) for flip in signs.tolist())
    assert sign_flip_p(values, clusters, Resampling(250, seed=9))[0] == (extreme + 1) / 251


def test_p_of_a_difference_beyond_all_flips_is_one_in_b_plus_one() -> None:
    turns = [f"c{n}_1" for n in range(60)]
    assert sign_flip_p(np.ones((60, 1)), Clusters.of(turns), Resampling(999))[0] == 1 / 1000


@pytest.mark.parametrize("conversations", [2, 4, 6, 9])
def test_p_nears_that_of_every_flip(conversations: int) -> None:
    """The brute force: every assignment of signs, each once. 6 standard errors of 20,000 flips are at most 0.021."""
    values, clusters = data(conversations, conversations)
    sums = [sum(turns_of(values, clusters, place)) for place in range(conversations)]
    every = [
        abs(sum(sign * total for sign, total in zip(flip, sums, strict=True))) for flip in itertools.product((-1, 1), repeat=conversations)
    ]
    exact = np.mean(np.array(every) >= abs(sum(sums)) - 1e-12)
    assert abs(sign_flip_p(values, clusters, Resampling(20_000))[0] - exact) < 0.021


def test_the_smallest_p_is_that_of_the_clearest_difference() -> None:
    for conversations in (1, 2, 4, 6):
        clusters = Clusters.of([f"c{n}_1" for n in range(conversations)])
        found = sign_flip_p(np.ones((conversations, 1)), clusters, Resampling(50_000))[0]
        assert abs(found - smallest_p(conversations, Resampling())) < 0.01
    assert smallest_p(4, Resampling()) == 1 / 8
    assert smallest_p(3000, Resampling(999)) == 1 / 1000


def test_p_nears_that_of_scipy_one_turn_a_conversation() -> None:
    from scipy.stats import permutation_test

    for seed in range(4):
        values = np.random.default_rng(seed).normal(0.3, 1, size=11)
        exact = permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        found = sign_flip_p(values[:, None], Clusters.of([f"c{n}_1" for n in range(11)]), Resampling(20_000))[0]
        assert abs(found - exact) < 0.021


def test_tenths_tie_like_whole_numbers() -> None:
    """Sums of tenths differ in their last digits where those of whole numbers are equal."""
    chance = np.random.default_rng(0)
    clusters = Clusters.named([f"c{n}" for n in chance.integers(0, 9, size=30)])
    whole = chance.integers(-3, 4, size=(30, 40)).astype(np.float64)
    assert np.array_equal(sign_flip_p(whole, clusters, Resampling(500)), sign_flip_p(whole / 10, clusters, Resampling(500)))


def test_rounding_does_not_hide_a_tie() -> None:
    """0.1 + 0.2 - 0.3 is not 0 in floating point; every flip of these sums is as extreme as the data."""
    differences = np.array([[0.1], [0.2], [-0.3], [0.3], [-0.1], [-0.2]])
    clusters = Clusters.of(["a_1", "a_2", "a_3", "b_1", "b_2", "b_3"])
    assert sign_flip_p(differences, clusters, Resampling(500))[0] == 1
    assert sign_flip_p(differences * 1e-9, clusters, Resampling(500))[0] == 1


def test_p_does_not_depend_on_the_unit() -> None:
    values, clusters = data(7, 25, 3)
    plan = Resampling(800)
    assert np.array_equal(sign_flip_p(values, clusters, plan), sign_flip_p(values * 1e-10, clusters, plan))


def test_nothing_to_resample() -> None:
    nobody = Clusters.of([])
    plan = Resampling(50)
    assert np.isnan(bootstrap_means(np.zeros((0, 2)), nobody, plan)).all()
    assert bootstrap_means(np.zeros((0, 2)), nobody, plan).shape == (50, 2)
    assert sign_flip_p(np.zeros((0, 2)), nobody, plan).tolist() == [1, 1]
    assert bootstrap_means(np.zeros((2, 0)), Clusters.of(["a_1", "b_1"]), plan).shape == (50, 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 15), st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_p_is_a_whole_number_of_flips_and_never_0(seed: int, conversations: int, resamples: int) -> None:
    values, clusters = data(seed, conversations, 2, missing=0.2)
    plan = Resampling(resamples, seed=seed)
    found = sign_flip_p(values, clusters, plan)
    flips = found * min(2**conversations, resamples + 1)  # each way once where there are no more ways
    assert np.all((found > 0) & (found <= 1))
    assert np.allclose(flips, np.round(flips))
    assert np.array_equal(found, sign_flip_p(-values, clusters, plan))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    values, clusters = data(3, 40, 4, missing=0.1)
    plan = Resampling(300, seed=seed)
    assert bootstrap_means(values, clusters, plan).tobytes() == bootstrap_means(values, clusters, plan).tobytes()
    assert sign_flip_p(values, clusters, plan).tobytes() == sign_flip_p(values, clusters, plan).tobytes()


def test_another_seed_gives_other_draws() -> None:
    values, clusters = data(3, 40)
    assert not np.array_equal(bootstrap_means(values, clusters, Resampling(300, 1)), bootstrap_means(values, clusters, Resampling(300, 2)))


def test_tables_that_share_the_draws_have_the_means_that_each_has_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(9)
    names = [f"c{n}" for n in chance.integers(0, 37, size=400)]
    clusters, plan = Clusters.named(names), Resampling(500, 4)
    tables = [chance.random((400, columns)) for columns in (1, 1, 3)]
    tables[1][chance.random((400, 1)) < 0.3] = np.nan
    tables[2][:, 1] = 0.25
    for block in (2**22, 37 * 64):
        monkeypatch.setattr(resampling, "_BLOCK", block)
        found = bootstrap_each(tables, clusters, plan)
        for each, table in zip(found, tables, strict=True):
            assert each.tobytes() == bootstrap_means(table, clusters, plan).tobytes()
