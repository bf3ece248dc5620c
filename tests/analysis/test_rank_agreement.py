from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from convbench.analysis.clusters import Clusters
from convbench.analysis.rank_agreement import kendall_tau_b, rank_agreement
from convbench.analysis.resampling import Resampling, drawn

PLAN = Resampling(resamples=400, seed=3)
FEW_VALUES = st.sampled_from([0.0, 0.25, 0.5, 1.0, -2.0])


def by_scipy(first: np.ndarray, second: np.ndarray) -> float:
    return float(kendalltau(first, second, variant="b").statistic)


@given(st.integers(0, 9).flatmap(lambda n: st.tuples(*(st.lists(FEW_VALUES, min_size=n, max_size=n) for _ in range(2)))))
def test_tau_is_scipys_with_ties_and_without_order(sides):
    first, second = (np.array([side]) for side in sides)
    ours = kendall_tau_b(first, second)
    assert ours.shape == (1,)
    if len(sides[0]) < 2 or len(set(sides[0])) < 2 or len(set(sides[1])) < 2:
        assert np.isnan(ours[0])
    else:
        assert ours[0] == pytest.approx(by_scipy(first[0], second[0]), abs=1e-12)


def test_many_samples_are_each_scipys_however_they_are_cut(monkeypatch):
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 4, (57, 7)).astype(float), generator.normal(size=(57, 7))
    expected = [by_scipy(*pair) for pair in zip(first, second, strict=True)]
    assert kendall_tau_b(first, second) == pytest.approx(expected, abs=1e-12)
    monkeypatch.setattr("convbench.analysis.rank_agreement._CELLS", 50)
    assert kendall_tau_b(first, second) == pytest.approx(expected, abs=1e-12)


def test_rounding_makes_no_order():
    first = np.array([[0.1 + 0.2, 0.3, 1.0]])
    assert first[0, 0] != first[0, 1]
    assert kendall_tau_b(first, np.array([[2.0, 1.0, 3.0]]))[0] == pytest.approx(by_scipy(np.array([0.3, 0.3, 1.0]), np.array([2, 1, 3])))


def test_a_value_that_is_not_there_makes_its_sample_undefined():
    values = np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 3.0]])
    assert np.isnan(kendall_tau_b(values, values)[0])
    assert kendall_tau_b(values, values)[1] == 1.0


@pytest.fixture
def turns() -> tuple[np.ndarray, np.ndarray, Clusters]:
    """Five systems on 12 conversations of 1 to 4 turns, on two sides that differ by noise; some turns lack a value."""
    generator = np.random.default_rng(5)
    names = [f"c{place:02d}" for place in range(12) for _ in range(1 + place % 4)]
    first = np.clip(generator.normal(np.linspace(0.3, 0.5, 5), 0.3, (len(names), 5)), 0, 1)
    second = np.clip(first + generator.normal(0, 0.2, first.shape), 0, 1)
    first[3, 2] = second[8, 0] = np.nan
    return first, second, Clusters.named(names)


def test_point_and_pairs_by_hand(turns):
    first, second, clusters = turns
    found = rank_agreement(first, second, clusters, PLAN)
    ours, theirs = np.nanmean(first, axis=0), np.nanmean(second, axis=0)
    assert found.tau == pytest.approx(by_scipy(ours, theirs))
    gaps = [(ours[i] - ours[j]) * (theirs[i] - theirs[j]) for i in range(5) for j in range(i)]
    assert (found.same, found.opposite, found.tied) == (sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps), 0)
    assert (found.systems, found.n_conversations) == (5, 12)


def test_interval_by_a_loop_over_the_same_draws(turns):
    first, second, clusters = turns
    taus = []
    for weights in (row for block in drawn(12, PLAN) for row in block):
        repeated = np.repeat(np.arange(len(clusters.index)), weights[clusters.index].astype(int))
        taus.append(by_scipy(np.nanmean(first[repeated], axis=0), np.nanmean(second[repeated], axis=0)))
    found = rank_agreement(first, second, clusters, PLAN)
    assert len(taus) == 400
    assert found.interval == pytest.approx(tuple(np.quantile(taus, [0.025, 0.975])), abs=1e-12)


def test_equal_sides_agree_and_turned_ones_do_not(turns):
    first, _, clusters = turns
    assert rank_agreement(first, first, clusters, PLAN).tau == 1.0
    assert rank_agreement(first, first, clusters, PLAN).interval == (1.0, 1.0)
    turned = rank_agreement(first, -first, clusters, PLAN)
    assert (turned.tau, turned.same, turned.opposite) == (-1.0, 0, 10)


@pytest.mark.parametrize("systems", [0, 1])
def test_an_order_needs_two_systems(turns, systems):
    first, second, clusters = turns
    found = rank_agreement(first[:, :systems], second[:, :systems], clusters, PLAN)
    assert (found.tau, found.interval, found.systems) == (None, None, systems)


def test_systems_that_are_all_equal_have_no_order(turns):
    first, _, clusters = turns
    found = rank_agreement(first, np.ones_like(first), clusters, PLAN)
    assert (found.tau, found.interval, found.tied) == (None, None, 10)


def test_one_conversation_gives_no_interval(turns):
    first, second, _ = turns
    found = rank_agreement(first, second, Clusters.named(["c"] * len(first)), PLAN)
    assert found.tau is not None
    assert found.interval is None
