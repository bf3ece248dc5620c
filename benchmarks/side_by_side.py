"""Timing two ways of doing the same, in turn, in one process, on one thread.

A script of this folder calls ``one_thread`` before it imports anything that computes, measures each of its paths with ``side_by_side``, how
their cost grows with ``growth``, and writes them with ``write_results``; ``benchmarks/page.py`` makes ``docs/benchmarks.md`` of what they
wrote.
"""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")

PAIRS = 5
"""Measured pairs, at least."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")


def one_thread() -> None:
    """Keeps every library to one thread; must come before they are imported."""
    os.environ.update(dict.fromkeys(_THREADS, "1"), TOKENIZERS_PARALLELISM="false", ARROW_NUM_THREADS="1")


@dataclass(frozen=True, slots=True)
class Spread:
    """Least, median and largest of some measurements."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread, to four digits."""
        return cls(*(float(f"{value:.4g}") for value in (min(values), statistics.median(values), max(values))))


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two ways took, measured in turn.

    Attributes:
        seconds: Way -> seconds.
        ratio: Seconds of the peer over ours, pair by pair: how many times as fast ours is.
        pairs: How many pairs.
    """

    seconds: dict[str, Spread]
    ratio: Spread
    pairs: int


@dataclass(frozen=True, slots=True)
class Grown:
    """What some amount of work took.

    Attributes:
        times: How many times the smallest amount of work.
        seconds: What it took.
    """

    times: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """A path and what was measured on it.

    Attributes:
        path: The path in a few words ("retrieval scoring, 16,000 turns × 1,000").
        peer: What it was compared with.
        pairs: The times.
        equality: In what sense the outcomes were asserted to be equal.
        target: The ratio that is aimed at; None where there is none.
        at_most: The target is an upper bound of what ours takes relative to the peer: reached where ratio >= 1 / at_most.
        growth: Times of growing amounts of our work.
        memory: What was measured of memory, in megabytes or as ratios, by a few words.
        notes: What a reader has to know (a ceiling, why a target is missed).
        settings: Sizes and the like.
    """

    path: str
    peer: str
    pairs: Pairs
    equality: str
    target: float | None = None
    at_most: float | None = None
    growth: tuple[Grown, ...] = ()
    memory: Mapping[str, float] = field(default_factory=dict)
    notes: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the target; None without one."""
        least = self.target if self.at_most is None else 1 / self.at_most
        return None if least is None else self.pairs.ratio.median >= least

    @property
    def exponent(self) -> float | None:
        """Of growth: the slope of log seconds over log work (1 = linear); None without two points."""
        return exponent(self.growth)


def side_by_side(
    ours: Callable[[], Outcome], peer: Callable[[], Outcome], same: Callable[[Outcome, Outcome], None], *, pairs: int = PAIRS
) -> Pairs:
    """Warms both up, asserts that they give the same, then times them in turn.

    Args:
        ours: Our way.
        peer: The peer's.
        same: Raises where the outcomes differ by more than they may.
        pairs: How many times each is timed.
    """
    same(ours(), peer())
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(pairs):
        for name, way in (("ours", ours), ("peer", peer)):
            times[name].append(seconds(way))
    ratio = [theirs / own for own, theirs in zip(times["ours"], times["peer"], strict=True)]
    return Pairs({name: Spread.of(found) for name, found in times.items()}, Spread.of(ratio), pairs)


def seconds(work: Callable[[], object]) -> float:
    """Seconds that some work takes; rubbish of what came before is collected first."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def growth(work: Callable[[int], Callable[[], object]], times: Sequence[int] = (1, 2, 4, 8), *, repeats: int = 2) -> tuple[Grown, ...]:
    """The least seconds of a few repeats, for growing amounts of work.

    Args:
        work: From how many times the smallest amount to a way of doing that much.
        times: The amounts.
        repeats: How often each is timed, after a warm-up.
    """
    found = []
    for factor in times:
        way = work(factor)
        way()
        found.append(Grown(factor, float(f"{min(seconds(way) for _ in range(repeats)):.4g}")))
    return tuple(found)


def exponent(grown: Sequence[Grown]) -> float | None:
    """The least-squares slope of log seconds over log work; None without two points."""
    if len(grown) < 2:
        return None
    work, spent = ([math.log(value) for value in values] for values in zip(*((each.times, each.seconds) for each in grown), strict=True))
    middle, height = statistics.fmean(work), statistics.fmean(spent)
    along = sum((one - middle) * (two - height) for one, two in zip(work, spent, strict=True))
    return round(along / sum((one - middle) ** 2 for one in work), 2)


def extra_megabytes(work: Callable[[], object]) -> float:
    """How far the memory of this process rises while some work is done (Linux: the peak of the resident set is reset first)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    work()
    return round((_status("VmHWM") - before) / 1024, 1)


def _status(name: str) -> int:
    """A figure of this process in kibibytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)


def environment(packages: Iterable[str], load_before: float) -> dict[str, Any]:
    """Where it was measured: processor, cores, load and versions.

    Args:
        packages: Distributions whose versions matter.
        load_before: The load before anything ran (``os.getloadavg()[0]``): other work on the machine.
    """
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": 1,
        "load_before": round(load_before, 2),
        "system": platform.platform(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in sorted(packages)}},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write_results(out: Path | None, results: Sequence[Result], where: Mapping[str, Any]) -> None:
    """Prints the results, a line each, and writes them as JSON where a file is named."""
    written = {"environment": dict(where), "results": [_written(result) for result in results]}
    for result in results:
        spread = result.pairs.ratio
        print(f"{result.path}: {spread.median:g}x of {result.peer} ({spread.min:g} to {spread.max:g}){_verdict(result)}", flush=True)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _written(result: Result) -> dict[str, Any]:
    return {**asdict(result), "reached": result.reached, "exponent": result.exponent}


def _verdict(result: Result) -> str:
    if result.reached is None:
        return ""
    aim = f">= {result.target:g}x" if result.at_most is None else f"at most {result.at_most:g} times as long"
    return f"; aim {aim}: {'reached' if result.reached else 'NOT reached'}"
