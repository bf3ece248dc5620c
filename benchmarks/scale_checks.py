"""Is memory flat and time linear? What ``scale.py`` prints and ``scale_page.py`` shows is computed here, from the measurements."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import log
from typing import Any

FLAT = 0.10
"""How far memory may rise from the smallest figure to the largest."""

LINEAR = 1.10
"""The most that the slope of log time over log size may be: 1 is linear, less means that a fixed part still counts."""

Measurement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flatness:
    """Whether memory stays the same as collections grow.

    Attributes:
        sizes: Collections that are compared, in passages.
        too_small: Collections that do not even fill the buffers of the step, which are left out.
        least: Smallest peak of anonymous memory, less what must grow, in bytes.
        most: Largest.
        by_size: How many bytes a passage the peak rises, with what must grow: the slope of a straight line.
    """

    sizes: tuple[int, ...]
    too_small: tuple[int, ...]
    least: int
    most: int
    by_size: float

    @property
    def rise(self) -> float:
        """The largest over the smallest, less 1."""
        return self.most / self.least - 1

    @property
    def reached(self) -> bool | None:
        """None where there are not two sizes to compare."""
        return self.rise <= FLAT if len(self.sizes) > 1 else None


@dataclass(frozen=True, slots=True)
class Linearity:
    """Whether time grows as collections do.

    Attributes:
        slope: Of log seconds over log passages, by least squares.
        least: Smallest slope between two neighbouring sizes.
        most: Largest.
        of_processor: Slope of the seconds in which the processor worked for the step: other work on the machine does not count in it.
        each: Microseconds a passage, from the smallest collection to the largest.
    """

    slope: float
    least: float
    most: float
    of_processor: float
    each: tuple[float, ...]

    @property
    def reached(self) -> bool:
        return self.slope <= LINEAR


def series(measurements: Sequence[Measurement]) -> Iterator[tuple[str, list[Measurement]]]:
    """The measurements of each step and width, by size."""
    for name, found in groupby(sorted(measurements, key=_order), key=named):
        yield name, list(found)


NAMES = {
    "store": "store",
    "look-up": "look-up",
    "bm25-build": "BM25, build",
    "bm25-search": "BM25, search",
    "encode": "encode",
    "search": "exact search",
    "approximate": "IVF-PQ, build",
}
"""Step -> what it is called, in the order in which steps come."""

ORDER = tuple(NAMES)


def named(measurement: Measurement) -> str:
    """What was measured, in a few words."""
    name, dim = NAMES[measurement["step"]], measurement["dim"]
    return f"{name}, {dim:,} wide" if dim else name


def _order(measurement: Measurement) -> tuple[int, int, int]:
    return ORDER.index(measurement["step"]), measurement["dim"], measurement["passages"]


def flatness(found: Sequence[Measurement]) -> Flatness:
    """Of the peaks of one step; at least one of them fills its buffers."""
    full = [each for each in found if each["fills_buffers"]] or list(found)
    peaks = [each["memory"]["anonymous_peak"] - sum(each["must_grow"].values()) for each in full]
    return Flatness(
        tuple(each["passages"] for each in full),
        tuple(each["passages"] for each in found if each not in full),
        min(peaks),
        max(peaks),
        _line([each["passages"] for each in full], [each["memory"]["anonymous_peak"] for each in full]),
    )


def linearity(found: Sequence[Measurement]) -> Linearity | None:
    """Of the seconds of one step; None without two sizes, and for looking up, which reads as much in any collection."""
    if len(found) < 2 or found[0]["step"] == "look-up":
        return None
    sizes = [log(each["passages"]) for each in found]
    seconds, worked = ([log(each[which]) for each in found] for which in ("seconds", "processor_seconds"))
    near = [(up - down) / (right - left) for (left, right), (down, up) in zip(pairwise(sizes), pairwise(seconds), strict=True)]
    each = tuple(1e6 * one["seconds"] / one["passages"] for one in found)
    return Linearity(_line(sizes, seconds), min(near), max(near), _line(sizes, worked), each)


def _line(along: Sequence[float], up: Sequence[float]) -> float:
    """The slope of a straight line through points, by least squares; 0 for one point."""
    return statistics.linear_regression(along, up).slope if len(along) > 1 else 0.0


def verdicts(measurements: Sequence[Measurement]) -> Iterator[str]:
    """Two lines for every step: memory and time."""
    for name, found in series(measurements):
        flat, linear = flatness(found), linearity(found)
        if flat.reached is not None:
            left_out = f" ({_sizes(flat.too_small)} left out: buffers not filled)" if flat.too_small else ""
            told = f"{flat.least / 2**20:,.0f} to {flat.most / 2**20:,.0f} MiB over {_sizes(flat.sizes)}{left_out}, rise {flat.rise:.1%}"
            yield f"{name}: memory {told}; aim at most {FLAT:.0%}: {reached(flat.reached)}"
        if linear is not None:
            told = f"slope {linear.slope:.2f} ({linear.least:.2f} to {linear.most:.2f} between neighbours; {linear.of_processor:.2f} in"
            told += " seconds of the processor)"
            told += f", {min(linear.each):.3g} to {max(linear.each):.3g} µs a passage"
            yield f"{name}: time {told}; aim at most {LINEAR:.2f}: {reached(linear.reached)}"


def _sizes(sizes: Sequence[int]) -> str:
    return ", ".join(f"{size:,}" for size in sizes)


def reached(is_reached: bool) -> str:
    return "reached" if is_reached else "NOT reached"
