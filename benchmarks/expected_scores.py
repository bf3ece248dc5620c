"""Measures every baseline on every set of ``baselines/sets.yaml`` and writes ``baselines/<name>/expected.json``.

    python benchmarks/expected_scores.py --real-data FOLDER [BASELINE ...]

Run it when a baseline, a metric or a pinned version changes scores on purpose; ``convbench baselines reproduce`` and
``tests/test_expected.py`` hold the code to the result.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from convbench.errors import ResourceError, UsageError
from convbench.harness.expected import named_sets, promised, write_expected
from convbench.harness.reproduce import Bench
from convbench.systems.catalog import baseline_names


def main() -> None:
    """Writes the expected scores of the baselines named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("baselines", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch) / "runs", Path(scratch) / "cache", arguments.real_data, offline=True)
        for baseline in arguments.baselines or baseline_names():
            scores = {}
            for name in named_sets():
                try:
                    scores[name] = promised(bench.measure(bench.system(baseline), name))
                except (ResourceError, UsageError) as error:
                    print(f"{baseline} on {name}: left out: {error}")
            if scores:
                write_expected(baseline, scores)
            print(f"{baseline}: {len(scores)} sets")


if __name__ == "__main__":
    main()
