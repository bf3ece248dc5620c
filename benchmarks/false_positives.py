"""How often the tests of a comparison find a difference where there is none, on simulated turns at TopiOCQA's size.

    python benchmarks/false_positives.py --out results.json

205 conversations of 5 to 20 turns, no true difference between two systems, and differences of turns that are correlated within a
conversation. Three shapes: normal; "zeros" (differences of reciprocal ranks, seven of ten exactly 0, symmetric); "skewed" (seven of ten
exactly 0, many small losses, few large wins, mean 0). Then few conversations. Fails when the clustered sign-flip test at 5 % fires in less
than 3 % or more than 7 % of data sets at TopiOCQA's size.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from convbench.analysis.clusters import Clusters
from convbench.analysis.intervals import bca_interval, percentile_interval
from convbench.analysis.paired import minimum_detectable
from convbench.analysis.resampling import Resampling, bootstrap_means, jackknife_means, sign_flip_p

Array = NDArray[np.float64]
CORRELATIONS = (0.0, 0.05, 0.1, 0.2)
CONVERSATIONS = 205
FEW = (6, 10, 20, 50)
FEW_CORRELATION = 0.1
BLOCK = 500
LOWEST, HIGHEST = 0.03, 0.07
TESTS = ("sign_flip", "percentile", "bca", "turn_sign_flip", "turn_t")


def zeros(chance: np.random.Generator, shape: tuple[int, ...]) -> Array:
    ranks = chance.integers(1, 8, size=(2, *shape))
    reciprocal = np.where(ranks < 7, 1 / ranks, 0.0)
    return np.where(chance.random(shape) < 0.65, 0.0, reciprocal[0] - reciprocal[1])


def skewed(chance: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A win of 0.75 on average in 1 of 20 turns, a loss of 0.15 in 5 of 20."""
    lot = chance.random(shape)
    return np.where(lot < 0.05, chance.uniform(0.5, 1, shape), np.where(lot < 0.3, -chance.uniform(0.05, 0.25, shape), 0.0))


def normal(chance: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return chance.standard_normal(shape)


SHAPES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {"normal": normal, "zeros": zeros, "skewed": skewed}


def simulated(chance: np.random.Generator, shape: str, correlation: float, index: NDArray[np.intp], columns: int) -> Array:
    """Turns × data sets. Turns of one conversation have the given correlation; each alone has the shape's distribution.

    Normal values are a sum of the conversation's value and the turn's. Of the others a turn has its conversation's value with probability
    sqrt(correlation), else its own: so two turns are both given it, and are equal, with probability correlation.
    """
    own = SHAPES[shape](chance, (len(index), columns))
    shared = SHAPES[shape](chance, (int(index.max()) + 1, columns))[index]
    if shape == "normal":
        return np.asarray(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
    return np.where(chance.random(own.shape) < np.sqrt(correlation), shared, own)


def fired(differences: Array, clusters: Clusters, plan: Resampling) -> tuple[dict[str, NDArray[np.bool_]], Array]:
    """Which data sets each test calls different, and the standard errors."""
    samples, means = bootstrap_means(differences, clusters, plan), differences.mean(axis=0)
    percentile = percentile_interval(samples, plan.level)
    bca = bca_interval(means, samples, jackknife_means(differences, clusters), plan.level)
    alone = Clusters.named([f"{turn:06}" for turn in range(len(differences))])
    ratio = np.abs(means) / (differences.std(axis=0, ddof=1) / np.sqrt(len(differences)))
    return {
        "sign_flip": sign_flip_p(differences, clusters, plan) <= 1 - plan.level,
        "percentile": (percentile[:, 0] > 0) | (percentile[:, 1] < 0),
        "bca": (bca[:, 0] > 0) | (bca[:, 1] < 0),
        "turn_sign_flip": sign_flip_p(differences, alone, plan) <= 1 - plan.level,
        "turn_t": ratio > t.ppf((1 + plan.level) / 2, len(differences) - 1),
    }, samples.std(axis=0, ddof=1)


def measured(shape: str, correlation: float, conversations: int, replications: int, plan: Resampling) -> dict[str, object]:
    chance = np.random.default_rng([sorted(SHAPES).index(shape), round(correlation * 100), conversations])
    index = np.repeat(np.arange(conversations), chance.integers(5, 21, size=conversations))
    clusters = Clusters.named([f"{place:06}" for place in index])
    counts, errors, kept = dict.fromkeys(TESTS, 0), [], []
    for columns in blocks(replications):
        differences = simulated(chance, shape, correlation, index, columns)
        found, error = fired(differences, clusters, plan)
        errors.append(error)
        kept.append(clusters.sums(differences))
        for name in TESTS:
            counts[name] += int(found[name].sum())
    detectable = minimum_detectable(float(np.median(np.concatenate(errors))), plan.level)
    sizes = np.bincount(index)[:, None]
    each = Clusters.named([f"{place:06}" for place in range(conversations)])
    powerful = sum(int((sign_flip_p(sums + detectable * sizes, each, plan) <= 1 - plan.level).sum()) for sums in kept)
    return {
        "shape": shape,
        "correlation": correlation,
        "conversations": conversations,
        "turns": len(index),
        "false_positives": {name: rate(count, replications) for name, count in counts.items()},
        "detectable": detectable,
        "power_at_detectable": rate(powerful, replications),
    }


def blocks(replications: int) -> Iterator[int]:
    for start in range(0, replications, BLOCK):
        yield min(BLOCK, replications - start)


def rate(count: int, replications: int) -> dict[str, float]:
    """A share and its exact 95 % binomial interval."""
    interval = binomtest(count, replications).proportion_ci(0.95)
    return {"rate": count / replications, "low": float(interval.low), "high": float(interval.high)}


def shown(result: dict[str, object]) -> str:
    found: dict[str, dict[str, float]] = result["false_positives"]  # type: ignore[assignment]
    power: dict[str, float] = result["power_at_detectable"]  # type: ignore[assignment]
    cells = "".join(f"{100 * found[name]['rate']:16.1f}" for name in TESTS)
    return f"{result['shape']:8}{result['conversations']:6}{result['correlation']:6.2f}{cells}{100 * power['rate']:10.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the figures go, as JSON")
    parser.add_argument("--replications", type=int, default=10_000, help="data sets of each kind (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=2000, help="bootstrap samples and sign flips of each (default: %(default)s)")
    options = parser.parse_args()
    plan = Resampling(options.resamples)

    start = time.perf_counter()
    print(f"{'shape':8}{'conv.':>6}{'corr.':>6}{''.join(f'{name:>16}' for name in TESTS)}{'power':>10}")
    kinds = [(shape, correlation, CONVERSATIONS) for shape in SHAPES for correlation in CORRELATIONS]
    kinds += [(shape, FEW_CORRELATION, conversations) for shape in SHAPES for conversations in FEW]
    results = []
    for shape, correlation, conversations in kinds:
        results.append(measured(shape, correlation, conversations, options.replications, plan))
        print(shown(results[-1]), flush=True)
    report = {
        "benchmark": "false_positives",
        "level": 1 - plan.level,
        "replications": options.replications,
        "resamples": options.resamples,
        "turns_a_conversation": "5 to 20, uniform",
        "results": results,
        "seconds": round(time.perf_counter() - start, 1),
        "versions": {"python": platform.python_version(), "numpy": version("numpy"), "scipy": version("scipy")},
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for result in results[: len(SHAPES) * len(CORRELATIONS)]:
        share = result["false_positives"]["sign_flip"]["rate"]  # type: ignore[index]
        assert LOWEST <= share <= HIGHEST, f"the clustered sign-flip test fired {share:.1%} of the time: {shown(result)}"


if __name__ == "__main__":
    main()
