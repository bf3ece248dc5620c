"""Reading a TREC run of two million lines with its judgements and scoring it, beside ir_measures.

    python benchmarks/trec_scoring.py [--out benchmarks/results/trec_scoring.json] [--small]

First both in this process, as its command line does it: files are read, and means come out. Then each in a fresh Python, ir_measures
by its command line; there the imports count too. Scores are rounded, so that some are equal, and others only as the 32-bit floats that
trec_eval keeps; the values of every turn are held to those of ir_measures before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from side_by_side import Result, environment, extra_megabytes, growth, one_thread, side_by_side, write_results

one_thread()

import ir_measures  # noqa: E402
import numpy as np  # noqa: E402

from convbench.io.trec_run import read_trec_lines, read_trec_run  # noqa: E402
from convbench.metrics.trec_scoring import score_trec  # noqa: E402

OURS = ("nDCG@3", "R@10", "R@100", "RR", "MAP")
THEIRS = ("nDCG@3", "R@10", "R@100", "RR", "AP")
PASSAGES = 1_000_000
WITHIN = 1e-9
EQUALITY = f"{len(OURS)} measures of every turn to {WITHIN:g}, with ties, also such as only 32-bit floats have"
_SCORE = """
import sys
from pathlib import Path
from convbench.metrics.trec_scoring import score_trec
for name, value in score_trec(Path(sys.argv[2]), Path(sys.argv[1]), sys.argv[3:]).means().items():
    print(f"{name}\\t{value}")
"""


def write_files(folder: Path, turns: int, depth: int) -> tuple[Path, Path]:
    """A run and judgements: two gold passages a turn, one of them in the ranking."""
    chance = random.Random(0)
    run, qrels = folder / f"run-{turns}.trec", folder / f"qrels-{turns}.txt"
    with run.open("w", encoding="utf-8") as ranked, qrels.open("w", encoding="utf-8") as judged:
        for number in range(turns):
            turn_id = f"conversation{number // 10}_{number % 10 + 1}"
            ids = [f"wiki:{id_}" for id_ in chance.sample(range(PASSAGES), depth + 1)]
            scores = sorted((round(round(chance.uniform(1, 40), 2) + chance.choice((0, 1e-8)), 8) for _ in range(depth)), reverse=True)
            ranked.writelines(
                f"{turn_id} Q0 {id_} {rank} {score} bm25\n" for rank, (id_, score) in enumerate(zip(ids, scores, strict=False), 1)
            )
            judged.writelines(f"{turn_id} 0 {id_} {chance.randint(1, 3)}\n" for id_ in (chance.choice(ids[:-1]), ids[-1]))
    return run, qrels


def theirs(run: Path, qrels: Path) -> dict[str, float]:
    """What ir_measures' command line does, without its start."""
    measures = [ir_measures.parse_measure(name) for name in THEIRS]
    found = ir_measures.calc_aggregate(measures, ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(run)))
    return {str(measure): found[measure] for measure in measures}


def ours(run: Path, qrels: Path) -> dict[str, float]:
    """The means, from the files."""
    return score_trec(run, qrels, OURS).means()


def same_turns(run: Path, qrels: Path) -> None:
    """Equal to 1e-9, every turn and measure."""
    found = score_trec(run, qrels, OURS)
    rows = {turn_id: row for row, turn_id in enumerate(found.turn_ids)}
    measures = [ir_measures.parse_measure(name) for name in THEIRS]
    expected = np.full_like(found.values, np.nan)
    for metric in ir_measures.iter_calc(measures, ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(run))):
        expected[rows[metric.query_id], measures.index(metric.measure)] = metric.value
    assert (np.abs(found.values - expected) <= WITHIN).all(), "other values"


def started(*arguments: str) -> dict[str, float]:
    """The means that a fresh Python prints."""
    printed = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout
    return {name: float(value) for name, value in (line.split() for line in printed.splitlines())}


def same(one: Mapping[str, float], two: Mapping[str, float]) -> None:
    """Equal to 1e-9, every mean."""
    assert len(one) == len(two) == len(OURS)
    for own, other in zip(OURS, THEIRS, strict=True):
        assert abs(one[own] - two[other]) <= WITHIN, f"{own} is {one[own]}, not {two[other]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--small", action="store_true", help="16 turns, to see that it works")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    turns, depth = (16, 2_000) if options.small else (2_000, 1_000)
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), turns, depth)
        parts = {times: write_files(Path(folder), turns * times // 8, depth) for times in (1, 2, 4)} | {8: files}
        memory = {"ours_extra_megabytes": extra_megabytes(partial(ours, *files))}  # first: later, what was freed is there to be used again
        same_turns(*files)
        settings = {"run_megabytes": round(files[0].stat().st_size / 1e6, 1), "lines": turns * depth}
        results = [
            Result(
                path=f"a TREC run of {turns * depth:,} lines and its judgements, read and scored",
                peer="ir_measures in the same process",
                pairs=side_by_side(partial(ours, *files), partial(theirs, *files), same),
                equality=EQUALITY,
                target=5.0,
                growth=growth(lambda times: partial(ours, *parts[times])),
                memory=memory,
                notes="Both in one process, imports apart.",
                settings=settings,
            ),
            Result(
                path=f"the same in a fresh Python, {turns * depth:,} lines",
                peer="the command line of ir_measures",
                pairs=side_by_side(
                    partial(started, "-c", _SCORE, *map(str, files[::-1]), *OURS),
                    partial(started, "-m", "ir_measures", "-p", "-1", *map(str, files[::-1]), *THEIRS),
                    same,
                ),
                equality=EQUALITY,
                notes="Python's start and the imports count: for ours about 0.3 s of numpy, pyarrow and convbench.",
                settings=settings,
            ),
            Result(
                path=f"reading a TREC run of {turns * depth // 8:,} lines as rankings",
                peer="our reader that goes line by line",
                pairs=side_by_side(partial(read_trec_run, parts[1][0]), partial(read_trec_lines, parts[1][0]), _equal),
                equality="the same ids and scores in the same order",
                notes="What imports, exports and replayed runs read with: here a Python object is made for every id and score.",
            ),
        ]
    write_results(options.out, results, environment(["ir-measures", "numpy", "pyarrow", "pytrec-eval-terrier"], load_before))


def _equal(one: object, two: object) -> None:
    assert one == two, "other rankings"


if __name__ == "__main__":
    main()
