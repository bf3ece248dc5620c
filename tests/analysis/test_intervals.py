from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from convbench.analysis.clusters import Clusters
from convbench.analysis.intervals import bca_interval, percentile_interval
from convbench.analysis.resampling import Resampling, bootstrap_means, jackknife_means

ALONE = Clusters.of([f"c{n:03}_1" for n in range(80)])
SHAPES = {
    "normal": np.random.default_rng(1).normal(0.1, 1, size=80),
    "skewed": np.random.default_rng(2).exponential(size=80) ** 2,
    "mostly zero": np.where(np.random.default_rng(3).random(80) < 0.6, 0, np.random.default_rng(4).uniform(-0.5, 1, size=80)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", ["percentile", "BCa"])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_it_is_that_of_scipy_one_turn_a_conversation(shape: str, method: str, level: float) -> None:
    """By 40,000 resamples each: the Monte Carlo error of a 2.5 % quantile is 0.013 standard errors; 0.1 is 5 times that of a gap."""
    values = SHAPES[shape]
    peer = bootstrap((values,), np.mean, n_resamples=40_000, confidence_level=level, method=method, rng=np.random.default_rng(7))
    samples = bootstrap_means(values[:, None], ALONE, Resampling(40_000))
    if method == "BCa":
        found = bca_interval(values.mean(keepdims=True), samples, jackknife_means(values[:, None], ALONE), level)
    else:
        found = percentile_interval(samples, level)
    assert np.allclose(found[0], peer.confidence_interval, atol=0.1 * peer.standard_error)


def test_bca_by_its_formula_on_the_samples_of_scipy() -> None:
    """The same samples give the same ends but for how scipy rounds quantiles: no Monte Carlo error between the two."""
    values = SHAPES["skewed"]
    peer = bootstrap((values,), np.mean, n_resamples=5000, method="BCa", rng=np.random.default_rng(7))
    found = bca_interval(values.mean(keepdims=True), peer.bootstrap_distribution[:, None], jackknife_means(values[:, None], ALONE), 0.95)
    assert np.allclose(found[0], peer.confidence_interval, rtol=1e-9)
    assert not np.allclose(found, percentile_interval(peer.bootstrap_distribution[:, None], 0.95), atol=0.05 * peer.standard_error)


def test_percentile_ends_are_quantiles_of_the_samples_there_are() -> None:
    samples = np.random.default_rng(0).normal(size=(501, 3))
    samples[::7, 1] = np.nan
    samples[:, 2] = np.nan
    found = percentile_interval(samples, 0.9)
    assert np.allclose(found[:2], [np.nanquantile(samples[:, column], [0.05, 0.95]) for column in (0, 1)])
    assert np.isnan(found[2]).all()


def test_bca_leaves_out_samples_without_a_value() -> None:
    values = SHAPES["skewed"]
    samples = bootstrap_means(values[:, None], ALONE, Resampling(3000))
    gaps = np.concatenate([samples, np.full((2000, 1), np.nan)])
    jackknife = jackknife_means(values[:, None], ALONE)
    assert np.array_equal(
        bca_interval(values.mean(keepdims=True), gaps, jackknife, 0.95), bca_interval(values.mean(keepdims=True), samples, jackknife, 0.95)
    )


def test_bca_mirrors_with_the_values() -> None:
    values = SHAPES["mostly zero"][:, None]
    up = bca_interval(values.mean(axis=0), bootstrap_means(values, ALONE, Resampling(2000)), jackknife_means(values, ALONE), 0.95)
    down = bca_interval(-values.mean(axis=0), -bootstrap_means(values, ALONE, Resampling(2000)), jackknife_means(-values, ALONE), 0.95)
    assert np.allclose(up, -down[:, ::-1], atol=1e-12)


def test_bca_does_not_mind_rounding_of_samples_that_equal_the_estimate() -> None:
    values = np.array([[0.0], [0.0], [0.1], [0.3]])
    clusters = Clusters.of(["a_1", "b_1", "c_1", "d_1"])
    samples = bootstrap_means(values, clusters, Resampling(2000))
    jackknife = jackknife_means(values, clusters)
    exact = bca_interval(np.array([0.1]), np.round(samples, 6), jackknife, 0.95)
    for nudge in (-1e-16, 1e-16):
        assert np.allclose(bca_interval(np.array([0.1]) + nudge, samples, jackknife, 0.95), exact, atol=1e-6)


def test_where_nothing_can_be_corrected_it_is_the_percentile_interval() -> None:
    equal = np.full((100, 1), 0.25)
    assert bca_interval(np.array([0.25]), equal, np.full((5, 1), 0.25), 0.95).tolist() == [[0.25, 0.25]]
    samples = np.random.default_rng(0).normal(size=(100, 1))
    undefined = np.array([[np.nan], [0.2], [0.2]])
    assert np.array_equal(bca_interval(np.array([0.2]), samples, undefined, 0.95), percentile_interval(samples, 0.95))
    aside = bca_interval(np.array([9.0]), samples, np.array([[1.0], [0.5], [0.2]]), 0.95)
    assert np.array_equal(aside, percentile_interval(samples, 0.95))
