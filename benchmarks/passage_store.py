"""Building a passage store from a million synthetic passages, and reading 100 random passages from it.

    python benchmarks/passage_store.py --out results.json

Build and look-ups run in processes of their own, so that the peak memory is theirs alone. Fails when a limit is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from convbench.datasets.store import ArrowPassageStore
from convbench.datasets.store_build import build_store
from convbench.types import Passage

WORDS_PER_PASSAGE = 60
IDS_PER_GET = 100
REPEATS = 50
MAX_PEAK_MIB = 1024
MAX_MEDIAN_MS = 5.0


def synthetic(count: int) -> Iterator[Passage]:
    """Passages of about 60 made-up words."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(20_000)]
    for n in range(count):
        text = " ".join(rng.choices(words, k=rng.randint(WORDS_PER_PASSAGE - 20, WORDS_PER_PASSAGE + 20)))
        yield Passage(f"https://example.org/{n % 977}/page-{n}_p{n % 7}", text, words[n % len(words)])


def measure_build(folder: Path, count: int) -> dict[str, float]:
    start = time.perf_counter()
    for _ in synthetic(count):
        pass
    generation = time.perf_counter() - start
    start = time.perf_counter()
    build_store(lambda: synthetic(count), folder, sources={"synthetic": str(count)})
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "of_which_making_passages": generation, "peak_mib": peak_mib()}


def measure_get(folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    store = ArrowPassageStore(folder)
    opened = time.perf_counter() - start
    rng = random.Random(1)
    requests = [store.ids(rng.sample(range(len(store)), IDS_PER_GET)) for _ in range(REPEATS)]
    store.get(requests[-1])
    times = []
    for ids in requests:
        start = time.perf_counter()
        passages = store.get(ids)
        times.append((time.perf_counter() - start) * 1000)
        assert [passage.id for passage in passages] == ids
    return {"open_ms": opened * 1000, "min_ms": min(times), "median_ms": statistics.median(times), "max_ms": max(times)}


def peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def in_child(*arguments: object) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True, stdout=subprocess.PIPE)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the figures go, as JSON")
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--stage", choices=["build", "get"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage == "build":
        print(json.dumps(measure_build(options.out, options.passages)))
        return
    if options.stage == "get":
        print(json.dumps(measure_get(options.out)))
        return

    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "store"
        build = in_child("--stage", "build", "--out", folder, "--passages", options.passages)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        get = in_child("--stage", "get", "--out", folder)
    result = {
        "benchmark": "passage_store",
        "passages": options.passages,
        "disk_mib": size / 2**20,
        "build": build,
        "get_100_random_ids": get,
        "machine": {"cpus": os.cpu_count(), "load_before": load_before, "python": platform.python_version(), "pyarrow": version("pyarrow")},
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    assert build["peak_mib"] < MAX_PEAK_MIB, f"the build took {build['peak_mib']:.0f} MiB, the limit is {MAX_PEAK_MIB}"
    assert get["median_ms"] < MAX_MEDIAN_MS, f"get took {get['median_ms']:.2f} ms, the limit is {MAX_MEDIAN_MS}"


if __name__ == "__main__":
    main()
