"""Scoring rankings on arrays beside ir_measures, with ties among the scores and grades from 1 to 3.

    python benchmarks/retrieval_scoring.py [--out benchmarks/results/retrieval_scoring.json] [--small]

First the evaluators alone, each on the run as it takes it, prepared outside the clock: that is much more for ours than for ir_measures, as
the notes of that result say. Then everything between a run's records and the scores of its turns, once without ties and once with them:
for ours the ranks of the gold passages, the checks of every ranking and of every turn's measures, for ir_measures the making of its
dictionaries.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from side_by_side import Result, environment, extra_megabytes, growth, one_thread, side_by_side, write_results

one_thread()

import ir_measures  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from convbench.metrics.measure_names import rank_measure  # noqa: E402
from convbench.metrics.rank_arrays import Judged, measured  # noqa: E402
from convbench.metrics.retrieval import RetrievalMetric  # noqa: E402
from convbench.types import Score, Turn, TurnRecord  # noqa: E402

OURS = ("RR", "nDCG@3", "R@10", "R@100", "MAP")
THEIRS = [ir_measures.parse_measure(name) for name in ("RR", "nDCG@3", "R@10", "R@100", "AP")]
PASSAGES = 200_000
WITHIN = 1e-9

Run = dict[str, dict[str, float]]
Qrels = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Rankings:
    """The same run and judgements for either evaluator."""

    run: Run
    qrels: Qrels
    grades: NDArray[np.int32]
    ends: NDArray[np.int64]
    gold_grades: NDArray[np.int32]
    gold_ends: NDArray[np.int64]

    def ours(self, turns: int) -> NDArray[np.float64]:
        """The values of the first turns on arrays; shape (turns, measures)."""
        last, last_gold = self.ends[turns - 1], self.gold_ends[turns - 1]
        judged = Judged.in_rankings(self.grades[:last], self.ends[:turns], self.gold_grades[:last_gold], self.gold_ends[:turns])
        return measured(judged, [rank_measure(name, 1000) for name in OURS], relevant_from=1)

    def theirs(self) -> list[Any]:
        """What ir_measures gives."""
        return list(ir_measures.pytrec_eval.iter_calc(THEIRS, self.qrels, self.run))


def make_rankings(turns: int, depth: int) -> Rankings:
    """Scores with two decimals, so that some are equal; every turn has one to four gold passages, most of them found."""
    chance = np.random.default_rng(0)
    names = [f"wiki:{number:06}" for number in range(PASSAGES)]  # sorted as their numbers are
    grades = np.zeros((turns, depth), np.int32)
    golds, run, qrels = [], {}, {}
    for turn in range(turns):
        ids = chance.choice(PASSAGES, depth, replace=False, shuffle=False)
        scores = np.round(chance.normal(20, 5, depth), 2)
        order = np.lexsort((-ids, -scores))  # trec_eval's: equal scores by passage id, descending
        ids, scores = ids[order], scores[order]
        gold = {int(chance.integers(depth)): int(chance.integers(1, 4)) for _ in range(chance.integers(1, 4))}
        grades[turn, list(gold)] = list(gold.values())
        qrels[str(turn)] = {names[ids[place]]: grade for place, grade in gold.items()} | {"wiki:none": 1}
        golds.append(sorted(qrels[str(turn)].values(), reverse=True))
        run[str(turn)] = dict(zip([names[id_] for id_ in ids.tolist()], scores.tolist(), strict=True))
    ends = np.arange(1, turns + 1) * depth
    return Rankings(run, qrels, grades.ravel(), ends, np.concatenate(golds).astype(np.int32), np.cumsum([len(gold) for gold in golds]))


def same_values(ours: NDArray[np.float64], theirs: Iterable[Any]) -> None:
    """Equal to 1e-9, every turn and measure."""
    expected = np.full_like(ours, np.nan)
    for metric in theirs:
        expected[int(metric.query_id), THEIRS.index(metric.measure)] = metric.value
    assert (np.abs(ours - expected) <= WITHIN).all(), "other values"


def evaluators(turns: int, depth: int) -> Result:
    """The evaluators alone."""
    rankings = make_rankings(turns, depth)
    ours, theirs = partial(rankings.ours, turns), rankings.theirs
    memory = {"ours_extra_megabytes": extra_megabytes(ours)}  # first: later, what was freed is there to be used again
    memory["peer_extra_megabytes"] = extra_megabytes(theirs)
    pairs = side_by_side(ours, theirs, same_values)
    return Result(
        path=f"retrieval scoring, {turns:,} turns × {depth:,}",
        peer="ir_measures on the same run",
        pairs=pairs,
        equality=f"{len(OURS)} measures of every turn to {WITHIN:g}; ours is given rankings whose ties are settled",
        target=20.0,
        growth=growth(lambda times: partial(rankings.ours, turns * times // 8), repeats=5),
        memory=memory,
        notes="What the computing of measures costs, not what scoring a run costs (see the results from records). Outside the clock, for "
        "ours: rankings are sorted, ties settled, gold passages looked up, grades laid out in ranked order and the gold grades sorted. "
        "Outside the clock, for ir_measures: its dictionaries of run and judgements are made. Inside it, ir_measures sorts, settles ties "
        "and looks passages up.",
        settings={"microseconds_per_turn": round(pairs.seconds["ours"].median / turns * 1e6, 2)},
    )


def records_of(run: Run, *, tied: bool) -> dict[str, TurnRecord]:
    """Records of a run, by score; passages whose scores are equal are in no order, or the scores are made unequal."""
    chance = random.Random(0)
    records = {}
    for turn_id, found in run.items():
        if tied:
            passages = tuple(sorted(chance.sample(list(found.items()), len(found)), key=itemgetter(1), reverse=True))
        else:
            passages = tuple((id_, 1000.0 - rank) for rank, id_ in enumerate(found))
        records[turn_id] = TurnRecord(turn_id, passages=passages)
    return records


def whole_metric(turns: int, depth: int, *, tied: bool) -> Result:
    """From records to scores."""
    rankings = make_rankings(turns, depth)
    asked = [Turn(turn_id, "?", gold=gold) for turn_id, gold in rankings.qrels.items()]
    records = records_of(rankings.run, tied=tied)
    different = sum(len({score for _, score in record.passages}) for record in records.values())
    metric = RetrievalMetric(depth, measures=OURS)

    def ours(count: int) -> list[Score]:
        return [
            score
            for begin in range(0, count, metric.batch_size)
            for score in metric.score(asked[:count][begin : begin + metric.batch_size], records)
        ]

    def theirs() -> list[Any]:
        run = {turn_id: dict(record.passages) for turn_id, record in records.items()}
        return list(ir_measures.pytrec_eval.iter_calc(THEIRS, rankings.qrels, run))

    def same(scores: list[Score], found: list[Any]) -> None:
        same_values(np.array([score.value for score in scores]).reshape(turns, len(OURS)), found)

    return Result(
        path=f"RetrievalMetric.score, {turns:,} turns × {depth:,}, {'with' if tied else 'without'} ties",
        peer="ir_measures on the same records",
        pairs=side_by_side(partial(ours, turns), theirs, same),
        equality=f"{len(OURS)} measures of every turn to {WITHIN:g}",
        growth=growth(lambda times: partial(ours, turns * times // 8)),
        notes="From the records of a run to the scores of its turns. Outside the clock, for both: the records, and a dictionary of the "
        "gold passages of every turn. Inside it, for ir_measures: its dictionaries of the rankings are made. Most of ours is one look at "
        "every passage id, for those that appear twice in a ranking; ours also computes and compares nine more measures, for the "
        "invariants between them.",
        settings={"different_scores_a_turn": different / turns},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="64 turns × 100, to see that it works")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    results = [evaluators(*((64, 100) if options.small else (16_000, 1_000)))]
    sizes = [(64, 100)] if options.small else [(2_514, 100), (1_000, 1_000)]
    results += [whole_metric(*size, tied=tied) for size in sizes for tied in (False, True)]
    write_results(options.out, results, environment(["ir-measures", "numpy", "pytrec-eval-terrier"], load_before))


if __name__ == "__main__":
    main()
