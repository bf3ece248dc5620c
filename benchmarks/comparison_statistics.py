"""The statistics of a comparison at QReCC's size, against the same by scipy, pair by pair.

    python benchmarks/comparison_statistics.py --out results.json

8,209 turns in 2,775 conversations, 10 systems, 6 measures: all 45 pairs of each measure (270 columns of differences) with percentile
and BCa intervals, sign-flip p-values and the rest, and the 60 means with their intervals, by 10,000 resamples. The peer is a plain loop
over a few pairs, in the same run: ``scipy.stats.bootstrap`` (BCa, and percentile from its samples) over the conversations' sums and
counts, and ``scipy.stats.permutation_test`` over their sums. Both must give the same within Monte Carlo error before anything is timed.
Fails when the median of five takes more than 10 seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, permutation_test

from convbench.analysis.clusters import Clusters
from convbench.analysis.estimates import Estimate, estimated_means
from convbench.analysis.paired import PairedDifference, differences_of, paired_differences, pairs_of
from convbench.analysis.resampling import Resampling

Array = NDArray[np.float64]
TURNS, CONVERSATIONS, SYSTEMS, MEASURES = 8209, 2775, 10, 6
PLAN = Resampling(10_000)
REPEATS = 5
PEER_COLUMNS = 3
MAX_SECONDS = 10.0


def scores() -> tuple[list[Array], Clusters]:
    """One array a measure, turns × systems: shares in [0, 1], alike within a turn and a conversation, better from system to system."""
    chance = np.random.default_rng(0)
    index = np.concatenate([np.arange(CONVERSATIONS), chance.integers(0, CONVERSATIONS, size=TURNS - CONVERSATIONS)])
    clusters = Clusters.of([f"{conversation}_{turn}" for turn, conversation in enumerate(index)])
    measures = []
    for _ in range(MEASURES):
        alike = 0.5 * chance.normal(size=(CONVERSATIONS, 1))[index] + chance.normal(size=(TURNS, 1))
        latent = alike + chance.normal(size=(TURNS, SYSTEMS)) + np.linspace(-0.2, 0.2, SYSTEMS)
        measures.append(np.clip(np.round(0.4 + 0.4 * latent, 2), 0, 1))
    return measures, clusters


def ours(measures: list[Array], clusters: Clusters) -> tuple[list[PairedDifference], list[Estimate]]:
    differences = np.concatenate([differences_of(values, pairs_of(range(SYSTEMS))) for values in measures], axis=1)
    return paired_differences(differences, clusters, PLAN), estimated_means(np.concatenate(measures, axis=1), clusters, PLAN)


def theirs(differences: Array, clusters: Clusters) -> list[tuple[Array, Array, float]]:
    """(percentile interval, BCa interval, p) of each column, one after the other."""
    found = []
    for column in differences.T:
        sums = np.bincount(clusters.index, weights=column)
        counts = np.bincount(clusters.index).astype(np.float64)
        options = {"paired": True, "vectorized": True, "n_resamples": PLAN.resamples, "batch": 500, "rng": np.random.default_rng(1)}
        drawn = bootstrap((sums, counts), ratio, method="BCa", **options)
        percentile = np.quantile(drawn.bootstrap_distribution, [0.025, 0.975])
        flips = permutation_test(
            (sums,),
            np.sum,
            permutation_type="samples",
            vectorized=True,
            n_resamples=PLAN.resamples,
            batch=500,
            rng=np.random.default_rng(2),
        )
        found.append((percentile, np.array(drawn.confidence_interval), float(flips.pvalue)))
    return found


def ratio(sums: Array, counts: Array, axis: int = -1) -> Array:
    return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))


def check_equal(mine: list[PairedDifference], peer: list[tuple[Array, Array, float]]) -> dict[str, float]:
    """Both are by 10,000 resamples: ends may differ by 0.15 standard errors (5 Monte Carlo errors), p by 6 of its own (0.042 at 0.5)."""
    ends, chances = 0.0, 0.0
    for own, (percentile, bca, p) in zip(mine, peer, strict=True):
        assert own.interval is not None
        assert own.bca is not None
        assert own.p is not None
        assert own.standard_error is not None
        for interval, other in ((own.interval, percentile), (own.bca, bca)):
            ends = max(ends, float(np.max(np.abs(np.array(interval) - other))) / own.standard_error)
        allowed = 6 * np.sqrt(2 * max(p * (1 - p), 1e-4) / PLAN.resamples)
        chances = max(chances, abs(own.p - p) / allowed)
    assert ends < 0.15, f"intervals differ by {ends:.2f} standard errors"
    assert chances < 1, f"p-values differ by {chances:.2f} of what Monte Carlo error allows"
    return {"interval_ends_in_standard_errors": ends, "p_as_a_share_of_6_monte_carlo_errors": chances}


def timed(times: list[float]) -> dict[str, float]:
    return {"min": round(min(times), 3), "median": round(statistics.median(times), 3), "max": round(max(times), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the figures go, as JSON")
    options = parser.parse_args()

    load_before = os.getloadavg()[0]
    measures, clusters = scores()
    found, means = ours(measures, clusters)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    share = differences_of(measures[0], pairs_of(range(SYSTEMS))[:PEER_COLUMNS])
    gaps = check_equal(found[:PEER_COLUMNS], theirs(share, clusters))

    own, processor, peer, ratios = [], [], [], []
    for _ in range(REPEATS):
        start, worked = time.perf_counter(), time.process_time()
        ours(measures, clusters)
        own.append(time.perf_counter() - start)
        processor.append(time.process_time() - worked)
        start = time.perf_counter()
        theirs(share, clusters)
        peer.append(time.perf_counter() - start)
        ratios.append((peer[-1] / PEER_COLUMNS) / (own[-1] / len(found)))
    result = {
        "benchmark": "comparison_statistics",
        "turns": TURNS,
        "conversations": CONVERSATIONS,
        "systems": SYSTEMS,
        "measures": MEASURES,
        "columns_of_differences": len(found),
        "means": len(means),
        "resamples": PLAN.resamples,
        "largest_gap_to_scipy": gaps,
        "seconds_for_all": timed(own),
        "processor_seconds_for_all": timed(processor),
        f"seconds_of_scipy_for_{PEER_COLUMNS}_columns": timed(peer),
        "times_as_fast_a_column": timed(ratios),
        "peak_mib_before_scipy_ran": round(peak),
        "machine": {
            "cpus": os.cpu_count(),
            "load_before": load_before,
            "threads": os.environ.get("OMP_NUM_THREADS", "not limited"),
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "scipy": version("scipy"),
        },
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    median = statistics.median(own)
    assert median <= MAX_SECONDS, f"the statistics took {median:.1f} s, the limit is {MAX_SECONDS:.0f} s"


if __name__ == "__main__":
    main()
