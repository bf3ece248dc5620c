"""The statistics of a comparison at QReCC's size, against the same by scipy, pair by pair.

    python benchmarks/comparison_statistics.py --out results.json

8,209 turns in 2,775 conversations, 10 systems, 6 measures: all 45 pairs of each measure (270 columns of differences) with percentile
and BCa intervals, sign-flip p-values and the rest, and the 60 means with their intervals, by 10,000 resamples. The peer is a plain loop
over a few of the pairs: ``scipy.stats.bootstrap`` (BCa, and percentile from its samples) over the conversations' sums and counts, and
``scipy.stats.permutation_test`` over their sums; its time is multiplied to all pairs. Both must give the same within Monte Carlo error
before anything is timed. All pairs are compared, so that the work grows with the square of the systems: growth is counted in pairs.
"""

# ruff: noqa: E402
from __future__ import annotations

from side_by_side import one_thread

one_thread()

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, permutation_test
from side_by_side import Grown, Pairs, Result, Spread, environment, extra_megabytes, growth, side_by_side, write_results

from convbench.analysis.clusters import Clusters
from convbench.analysis.estimates import Estimate, estimated_means
from convbench.analysis.paired import PairedDifference, differences_of, paired_differences, pairs_of
from convbench.analysis.resampling import Resampling

Array = NDArray[np.float64]
PEER_COLUMNS = 3


@dataclass(frozen=True)
class Size:
    """What is compared, and by how many resamples."""

    turns: int = 8209
    conversations: int = 2775
    systems: int = 10
    measures: int = 6
    resamples: int = 10_000

    @property
    def plan(self) -> Resampling:
        return Resampling(self.resamples)

    @property
    def columns(self) -> int:
        return self.measures * self.systems * (self.systems - 1) // 2


SMALL = Size(turns=400, conversations=120, systems=3, measures=2, resamples=2000)


def scores(size: Size) -> tuple[list[Array], Clusters]:
    """One array a measure, turns × systems: shares in [0, 1], alike within a turn and a conversation, better from system to system."""
    chance = np.random.default_rng(0)
    index = np.concatenate([np.arange(size.conversations), chance.integers(0, size.conversations, size=size.turns - size.conversations)])
    clusters = Clusters.of([f"{conversation}_{turn}" for turn, conversation in enumerate(index)])
    measures = []
    for _ in range(size.measures):
        alike = 0.5 * chance.normal(size=(size.conversations, 1))[index] + chance.normal(size=(size.turns, 1))
        latent = alike + chance.normal(size=(size.turns, size.systems)) + np.linspace(-0.2, 0.2, size.systems)
        measures.append(np.clip(np.round(0.4 + 0.4 * latent, 2), 0, 1))
    return measures, clusters


def ours(measures: list[Array], clusters: Clusters, size: Size) -> tuple[list[PairedDifference], list[Estimate]]:
    differences = np.concatenate([differences_of(values, pairs_of(range(size.systems))) for values in measures], axis=1)
    return paired_differences(differences, clusters, size.plan), estimated_means(np.concatenate(measures, axis=1), clusters, size.plan)


def theirs(differences: Array, clusters: Clusters, size: Size) -> list[tuple[Array, Array, float]]:
    """(percentile interval, BCa interval, p) of each column, one after the other."""
    found = []
    for column in differences.T:
        sums = np.bincount(clusters.index, weights=column)
        counts = np.bincount(clusters.index).astype(np.float64)
        options = {"paired": True, "vectorized": True, "n_resamples": size.resamples, "batch": 500, "rng": np.random.default_rng(1)}
        drawn = bootstrap((sums, counts), ratio, method="BCa", **options)
        percentile = np.quantile(drawn.bootstrap_distribution, [0.025, 0.975])
        flips = permutation_test(
            (sums,),
            np.sum,
            permutation_type="samples",
            vectorized=True,
            n_resamples=size.resamples,
            batch=500,
            rng=np.random.default_rng(2),
        )
        found.append((percentile, np.array(drawn.confidence_interval), float(flips.pvalue)))
    return found


def ratio(sums: Array, counts: Array, axis: int = -1) -> Array:
    return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))


def check_equal(mine: list[PairedDifference], peer: list[tuple[Array, Array, float]], size: Size) -> None:
    """Both are by resamples: of 10,000, ends may differ by 0.15 standard errors (5 Monte Carlo errors), p by 6 of its own (0.042)."""
    allowed_ends = 0.15 * np.sqrt(10_000 / size.resamples)
    for own, (percentile, bca, p) in zip(mine[: len(peer)], peer, strict=True):
        assert own.interval is not None
        assert own.bca is not None
        assert own.p is not None
        assert own.standard_error is not None
        for interval, other in ((own.interval, percentile), (own.bca, bca)):
            gap = float(np.max(np.abs(np.array(interval) - other))) / own.standard_error
            assert gap < allowed_ends, f"the interval's ends differ by {gap:.2f} standard errors"
        allowed = 6 * np.sqrt(2 * max(p * (1 - p), 1e-4) / size.resamples)
        assert abs(own.p - p) < allowed, f"the p-values {own.p} and {p} differ by more than Monte Carlo error"


def for_all(pairs: Pairs, times: float) -> Pairs:
    """The peer's time multiplied to the work that ours does."""

    def more(spread: Spread) -> Spread:
        return Spread.of([value * times for value in (spread.min, spread.median, spread.max)])

    return Pairs({"ours": pairs.seconds["ours"], "peer": more(pairs.seconds["peer"])}, more(pairs.ratio), pairs.pairs)


def grown_by_pairs(size: Size, systems: tuple[int, ...]) -> tuple[Grown, ...]:
    """Times of growing numbers of systems, counted in pairs of systems."""

    def work(count: int) -> Callable[[], object]:
        larger = replace(size, systems=count)
        measures, clusters = scores(larger)
        return lambda: ours(measures, clusters, larger)

    found = growth(work, systems, repeats=2)
    least = replace(size, systems=systems[0]).columns
    return tuple(Grown(replace(size, systems=int(each.times)).columns / least, each.seconds) for each in found)


def measured(size: Size, pairs: int, systems: tuple[int, ...]) -> Result:
    measures, clusters = scores(size)
    memory = extra_megabytes(lambda: ours(measures, clusters, size))
    share = differences_of(measures[0], pairs_of(range(size.systems))[:PEER_COLUMNS])
    compared = side_by_side(
        lambda: ours(measures, clusters, size)[0],
        lambda: theirs(share, clusters, size),
        lambda mine, peer: check_equal(mine, peer, size),
        pairs=pairs,
    )
    return Result(
        path=f"statistics, {size.systems} systems x {size.turns:,} turns x {size.measures} measures x {size.resamples:,} resamples",
        peer="a loop of scipy.stats.bootstrap and permutation_test",
        pairs=for_all(compared, size.columns / share.shape[1]),
        equality=f"same estimator; intervals and p-values of the {share.shape[1]} pairs that scipy runs, within Monte Carlo error",
        target=50,
        growth=grown_by_pairs(size, systems),
        memory={"extra megabytes": memory},
        notes=f"scipy runs {share.shape[1]} of the {size.columns} pairs and its time is multiplied; ours does them all, and the means. "
        f"Growth is in pairs of systems ({', '.join(map(str, systems))} systems): linear in systems squared.",
        settings={"columns of differences": size.columns, "means": size.measures * size.systems, "conversations": size.conversations},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="a few systems, to see that it works")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    result = measured(SMALL, 1, (3, 4)) if options.small else measured(Size(), 5, (5, 7, 10, 14))
    write_results(options.out, [result], environment(["numpy", "scipy"], load_before))


if __name__ == "__main__":
    main()
