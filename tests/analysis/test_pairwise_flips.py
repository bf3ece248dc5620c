from __future__ import annotations

import numpy as np
import pytest

from convbench.analysis.clusters import Clusters
from convbench.analysis.paired import differences_of, pairs_of
from convbench.analysis.pairwise_flips import pairwise_sign_flip_p
from convbench.analysis.resampling import Resampling, sign_flip_p

PLAN = Resampling(resamples=3000, seed=4)


def clusters(conversations: int, turns: int = 6) -> Clusters:
    return Clusters.of([f"{conversation}_{turn}" for conversation in range(conversations) for turn in range(1, turns + 1)])


def noisy(conversations: int, systems: int, seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    common = chance.random(6 * conversations)[:, None]
    return np.clip(common + chance.normal(0, 0.2, (len(common), systems)) + 0.02 * np.arange(systems), 0, 1)


def reference(values: np.ndarray, grouped: Clusters) -> np.ndarray:
    return sign_flip_p(differences_of(values, pairs_of(range(values.shape[1]))), grouped, PLAN)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("conversations", [3, 9, 40])
def test_p_values_are_those_of_the_differences(conversations, seed):
    values = noisy(conversations, 9, seed)
    assert np.array_equal(pairwise_sign_flip_p(values, clusters(conversations), PLAN), reference(values, clusters(conversations)))


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_sums_that_tie_count_as_ties(steps):
    """Few values, so that very many flips give just the sum of the data: each has to be counted."""
    values = np.random.default_rng(steps).integers(0, steps + 1, (6 * 12, 8)) / steps
    assert np.array_equal(pairwise_sign_flip_p(values, clusters(12), PLAN), reference(values, clusters(12)))


def test_systems_that_hardly_differ():
    values = np.repeat(noisy(200, 1, 5), 7, axis=1)
    for system in range(1, 7):
        values[: 6 * system : 6, system] += 0.1  # the first turns of so many conversations
    found = pairwise_sign_flip_p(values, clusters(200), PLAN)
    assert np.array_equal(found, reference(values, clusters(200)))
    assert len(set(found)) > 3


@pytest.mark.parametrize("step", [1e-1, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_near_twins_on_many_turns(step, offset):
    """Their differences are far smaller than what they are differences of, whose rounding they must not be mistaken for."""
    chance = np.random.default_rng(1)
    for conversations in (6, 100):
        values = np.repeat(offset + chance.random((1200, 1)), 3, axis=1)
        rows = chance.choice(1200, 2, replace=False)
        values[rows, 1] += step * chance.random(2)
        values[rows, 2] -= step * chance.random(2)
        named = Clusters.named([str(turn * conversations // 1200) for turn in range(1200)])
        assert np.array_equal(pairwise_sign_flip_p(values, named, PLAN), reference(values, named))


def test_turns_that_only_some_have_values_for():
    values = noisy(15, 6, 8)
    values[:9, 1] = values[40:44, 4] = values[:9, 5] = np.nan
    values[50] = np.nan
    assert np.array_equal(pairwise_sign_flip_p(values, clusters(15), PLAN), reference(values, clusters(15)))


def test_equal_systems_none_and_one():
    values = np.repeat(noisy(10, 1, 3), 3, axis=1)
    assert pairwise_sign_flip_p(values, clusters(10), PLAN).tolist() == [1.0, 1.0, 1.0]
    assert pairwise_sign_flip_p(values[:, :1], clusters(10), PLAN).tolist() == []
    assert pairwise_sign_flip_p(np.empty((60, 0)), clusters(10), PLAN).tolist() == []
