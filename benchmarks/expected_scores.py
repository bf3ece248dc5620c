"""Measures every baseline on every set of ``baselines/sets.yaml`` and writes ``baselines/<name>/expected.json``.

    python benchmarks/expected_scores.py --real-data FOLDER [BASELINE ...]

Run it when a baseline, a metric or a pinned version changes scores on purpose; ``tests/test_expected.py`` holds the code to the result.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from convbench.errors import UsageError
from convbench.harness.plan import system_config
from convbench.harness.provenance import package_versions
from convbench.harness.run import run
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.metrics.selection import Selection
from convbench.systems.catalog import baseline_names, shipped, system_values

TOLERANCE = 0.005
"""Absolute. BM25 repeats exactly; encoders differ in the last bits between processors, which can swap near ties."""


def dataset_spec(entry: dict[str, str], real_data: Path) -> DatasetSpec:
    """The dataset of one set, its paths made whole."""
    paths = {key: str(real_data / entry[key]) for key in ("data", "corpus", "rewrites") if key in entry}
    return DatasetSpec(name=entry["name"], split=entry.get("split"), **paths)


def measure(baseline: str, spec: DatasetSpec, folder: Path, cache: Path) -> dict[str, Any]:
    """One baseline on one set."""
    system = system_config(system_values(baseline), baseline).model_dump(mode="json")
    selection = Selection(families=["retrieval", "rouge", "token-f1"])
    results = run(RunSpec(system=system, dataset=spec), folder, selection, cache=cache, offline=True)
    return {
        "split": results.dataset.split,
        "turns": results.dataset.n_turns,
        "conversations": results.dataset.n_conversations,
        "passages": results.dataset.passages,
        "turnset_sha256": results.dataset.turnset_sha256,
        "collection_sha256": results.dataset.collection_sha256,
        "tolerance": TOLERANCE,
        "metrics": {metric.name: metric.value for metric in results.metrics},
        "signatures": {metric.name: metric.signature for metric in results.metrics},
    }


def main() -> None:
    """Writes the expected scores of the baselines named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path, required=True)
    parser.add_argument("baselines", nargs="*")
    arguments = parser.parse_args()
    sets = yaml.safe_load((shipped("baselines") / "sets.yaml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        for baseline in arguments.baselines or baseline_names():
            scores = {}
            for name, entry in sets.items():
                try:
                    spec = dataset_spec(entry, arguments.real_data)
                    scores[name] = measure(baseline, spec, Path(scratch) / baseline / name, Path(scratch) / "cache")
                except UsageError as error:
                    print(f"{baseline} on {name}: left out: {error}")
            target = shipped("baselines") / baseline / "expected.json"
            target.write_text(
                json.dumps({"baseline": baseline, "packages": package_versions(), "scores": scores}, indent=2) + "\n", encoding="utf-8"
            )
            print(f"{baseline}: {len(scores)} sets")


if __name__ == "__main__":
    main()
