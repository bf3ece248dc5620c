"""Synthetic collections of 0.1 to 2 million passages through store, BM25, encoding and search: memory, disk and time as they grow.

    python benchmarks/scale.py [--out benchmarks/results/scale.json] [--work DIR] [--resume] [--small]

Every step runs in a process of its own, on one thread (``scale_steps.py``), whose memory is looked at every few milliseconds. Anonymous
memory is what the step itself holds. Pages of mapped files are the system's cache, which it takes back when it needs them: they are shown
apart. ``scale_page.py`` makes ``docs/scale.md`` of the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from scale_checks import ORDER, named, verdicts
from scale_data import LONGEST, SHORTEST
from side_by_side import environment

from convbench.datasets.store_build import build_store
from convbench.retrieval.shards import BLOCK_BYTES, SHARD_ROWS

SIZES, SMALL = (100_000, 500_000, 1_000_000, 2_000_000), (1_000, 2_000)
DIMS, SMALL_DIMS = (384, 4096), (16, 32)
APPROXIMATE = (500_000, 384)
LOOK_EVERY, LOOK_AT_DISK = 0.01, 0.5
PART_ROWS: int = (build_store.__kwdefaults__ or {})["part_rows"]
STEPS = {"store": ("store", "look-up"), "bm25": ("bm25-build", "bm25-search"), "encode": ("encode",), "search": ("search",)}
"""Option -> steps; ``approximate`` is one more, at one size and width."""
MAKES = {"store": "store", "bm25-build": "bm25", "encode": "dense", "approximate": "dense"}
"""Step -> the folder that it makes, or adds to."""
NEEDS = {"bm25-search": "bm25-build", "search": "encode", "approximate": "encode"}
"""Step -> the one before it, besides the store."""
PACKAGES = ("bm25s", "faiss-cpu", "numba", "numpy", "pyarrow")


class Step(NamedTuple):
    """A step at one size.

    Attributes:
        name: As ``scale_steps.py`` knows it.
        passages: Size of the collection.
        dim: Width of a vector; 0 where there are none.
    """

    name: str
    passages: int
    dim: int = 0

    @property
    def before(self) -> set[Step]:
        """The steps whose files it reads."""
        if self.name == "store":
            return set()
        first = {Step("store", self.passages)}
        return first | {Step(NEEDS[self.name], self.passages, self.dim)} if self.name in NEEDS else first


def plan(sizes: Sequence[int], dims: Sequence[int], groups: Sequence[str]) -> list[Step]:
    """What is measured."""
    found = []
    for passages in sizes:
        found += [Step(name, passages) for group in ("store", "bm25") if group in groups for name in STEPS[group]]
        found += [Step(group, passages, dim) for dim in dims for group in ("encode", "search") if group in groups]
    if "approximate" in groups:
        found.append(Step("approximate", *(APPROXIMATE if APPROXIMATE[0] in sizes and APPROXIMATE[1] in dims else (max(sizes), min(dims)))))
    return found


def in_order(steps: Iterable[Step]) -> list[Step]:
    """Size by size, and one width of vectors after the other, so that only one lies on disk."""
    return sorted(steps, key=lambda step: (step.passages, step.dim, ORDER.index(step.name)))


def disk_needed(sizes: Sequence[int], dims: Sequence[int]) -> int:
    """Bytes that lie on disk at the worst moment: text and postings (twice, while they are sorted), one width of vectors, and room."""
    return max(sizes) * (700 + 2 * 900 + 2 * max(dims)) + (1 << 30)


def measure(step: Step, place: Path) -> dict[str, Any]:
    """Runs a step in a fresh process and looks at its memory while it works."""
    arguments = ["--passages", str(step.passages), "--dim", str(step.dim), "--place", str(place)]
    command = [sys.executable, str(Path(__file__).with_name("scale_steps.py")), step.name, *arguments]
    folder = place / MAKES[step.name] if step.name in MAKES else None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        begun = process.stdout.readline()
        peaks, most_on_disk, looked = {"RssAnon": 0, "RssFile": 0}, 0, 0.0
        while process.poll() is None:
            for name, value in _memory(process.pid, tuple(peaks)):
                peaks[name] = max(peaks[name], value)
            if folder is not None and time.monotonic() > looked + LOOK_AT_DISK:
                most_on_disk, looked = max(most_on_disk, _size(folder)), time.monotonic()
            time.sleep(LOOK_EVERY)
        rest = process.stdout.read()
    if process.returncode:
        sys.exit(f"{named(step._asdict() | {'step': step.name})} of {step.passages:,} passages failed: see above")
    found = json.loads(rest)
    at_start = json.loads(begun)
    memory = {
        "at_start": at_start["anonymous"],
        "anonymous_peak": peaks["RssAnon"],
        "mapped_peak": peaks["RssFile"],
        "resident_peak": found.pop("resident_peak"),
    }
    made = {
        "must_grow": found.pop("must_grow", {}),
        **{name: found.pop(name) for name in ("fills_buffers", "seconds", "processor_seconds")},
    }
    left = 0 if folder is None else _size(folder)
    disk = {"disk_bytes": left, "disk_peak": max(left, most_on_disk)}
    return {"step": step.name, "passages": step.passages, "dim": step.dim, **made, "memory": memory, **disk, "more": found}


def _memory(process: int, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Figures of a process in bytes; none where it has ended. ``RssAnon`` is what ``smaps_rollup`` adds up as anonymous."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return
    for line in lines:
        name, _, value = line.partition(":")
        if name in names:
            yield name, int(value.split()[0]) * 1024


def _size(folder: Path) -> int:
    """Bytes of the files in a folder that others write to."""
    size = 0
    for where, _, names in os.walk(folder):  # passes over folders that go away meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                size += (Path(where) / name).stat().st_size
    return size


def run(steps: Sequence[Step], work: Path, figures: dict[str, Any], out: Path | None) -> None:
    """Measures what the figures lack, and makes again what that reads; figures are written after each step."""
    known = {Step(each["step"], each["passages"], each["dim"]) for each in figures["measurements"]}
    missing = {step for step in steps if step not in known}
    read = {before for each in missing for before in each.before}
    place, last = work / "scale", Step("", 0)
    for step in in_order(missing | read):
        if step.passages != last.passages:
            shutil.rmtree(place, ignore_errors=True)
        elif step.dim != last.dim:
            shutil.rmtree(place / "dense", ignore_errors=True)
        last = step
        found = measure(step, place)
        if step in missing:
            figures["measurements"].append(found)
            _tell(found)
            if out is not None:
                _write(figures, out)
    shutil.rmtree(place, ignore_errors=True)


def _tell(found: Mapping[str, Any]) -> None:
    memory = ", ".join(f"{name.replace('_', ' ')} {value / 2**20:,.0f}" for name, value in found["memory"].items())
    disk = f"{found['disk_bytes'] / 2**20:,.0f}"
    seconds = f"{found['seconds']:.2f} s ({found['processor_seconds']:.2f} s of the processor)"
    print(f"{named(found)}, {found['passages']:,} passages: {seconds}; MiB: {memory}, disk {disk}", flush=True)


def _write(figures: Mapping[str, Any], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix(".part")
    temporary.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(out)  # a run that is killed leaves the figures of the step before


def _settings() -> dict[str, Any]:
    """What the figures depend on; those of other settings are not added to."""
    words = {"words_in_a_passage": [SHORTEST, LONGEST]}
    return {**words, "part_rows": PART_ROWS, "shard_rows": SHARD_ROWS, "block_bytes": BLOCK_BYTES, "look_every": LOOK_EVERY}


def _numbers(text: str) -> list[int]:
    return sorted({int(number) for number in text.replace("_", "").split(",")})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--sizes", type=_numbers, help="passages of the collections, with commas")
    parser.add_argument("--dims", type=_numbers, help="widths of the vectors, with commas; multiples of 8")
    parser.add_argument("--steps", default=",".join([*STEPS, "approximate"]), help="what is measured, with commas")
    parser.add_argument("--work", type=Path, help="folder for the collections; what is made there is removed")
    parser.add_argument("--resume", action="store_true", help="keep what the figures hold already, measure the rest")
    parser.add_argument("--small", action="store_true", help="two small collections, for a test")
    options = parser.parse_args()
    sizes = options.sizes or (SMALL if options.small else SIZES)
    dims = options.dims or (SMALL_DIMS if options.small else DIMS)
    groups = options.steps.split(",")
    if unknown := [group for group in groups if group not in (*STEPS, "approximate")]:
        parser.error(f"--steps: {unknown[0]!r} is none of {', '.join(STEPS)}, approximate")
    figures = {"environment": environment(PACKAGES, os.getloadavg()[0]), "settings": _settings(), "measurements": []}
    if options.resume and options.out is not None and options.out.exists():
        kept = json.loads(options.out.read_text(encoding="utf-8"))
        if kept["settings"] != figures["settings"]:
            parser.error(f"--resume: {options.out} was measured with {kept['settings']}, now they are {figures['settings']}")
        figures = kept
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.work) as work:
        needed, free = disk_needed(sizes, dims), shutil.disk_usage(work).free
        if free < needed:
            sys.exit(f"{work}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; name another folder with --work")
        run(plan(sizes, dims, groups), Path(work), figures, options.out)
    figures["checks"] = list(verdicts(figures["measurements"]))
    print("\n".join(figures["checks"]))
    if options.out is not None:
        _write(figures, options.out)


if __name__ == "__main__":
    main()
