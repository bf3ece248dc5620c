"""From what ``scale.py`` measured to collections of 11 to 55 million passages: every line with its arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Any

from scale_checks import Measurement, flatness, series

COLLECTIONS = {"QReCC": (54_573_064, 16_451), "TopiOCQA": (25_700_592, 2_514), "OR-QuAC": (11_377_951, 5_571)}
"""Name -> passages, and turns that are searched for: those of the test set, or the development set where that is what is reported."""

BATCH = 512
"""Queries of a dense search."""

PARAMETERS, TOKENS, ASSUMED_RATE = 7.1e9, 130, 4e14
"""Of an encoder of Mistral-7B's shape, without its output layer; of a passage (100 words); floating-point operations a second of a card."""

NODE_MEMORY = (64, 256, 1024)
"""GiB of a node, of which a fifth is left to everything but vectors."""

CARD_MEMORY = 80
"""GB of a card, of which a fifth is left likewise."""
_FOR_VECTORS = 0.8

STORAGE = 2
"""Bytes of a value in float16."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure.

    Attributes:
        what: What it is of.
        arithmetic: How it comes about.
        result: What comes out.
    """

    what: str
    arithmetic: str
    result: str


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a card encodes.

    Attributes:
        flop_a_second: Floating-point operations a second.
        origin: Where the figure comes from.
    """

    flop_a_second: float
    origin: str


def rate(gpu: Mapping[str, Any] | None) -> Rate:
    """The rate that ``gpu_encoding.py`` measured, or one that is assumed where it was not run on a card.

    Args:
        gpu: What it wrote.
    """
    if gpu is None or gpu["environment"]["card"]["device"] == "cpu":
        return Rate(ASSUMED_RATE, "assumed, not measured")
    share = gpu["shares"][0]
    name = gpu["environment"]["card"]["name"]
    return Rate(share["flop"] / share["seconds"], f"measured on one {name}, `benchmarks/results/gpu_encoding.json`")


class Measured:
    """What is taken from the measurements: those of the largest collection.

    Args:
        measurements: All of them.
    """

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._series = {(found[0]["step"], found[0]["dim"]): found for _, found in series(measurements)}

    @property
    def dims(self) -> list[int]:
        """Widths of the vectors that were encoded and searched."""
        return sorted({dim for step, dim in self._series if step == "search"})

    def has(self, step: str, dim: int = 0) -> bool:
        return (step, dim) in self._series

    def largest(self, step: str, dim: int = 0) -> Measurement:
        return self._series[step, dim][-1]

    def each(self, step: str, dim: int = 0) -> float:
        """Seconds a passage."""
        found = self.largest(step, dim)
        return float(found["seconds"]) / int(found["passages"])

    def disk(self, step: str) -> float:
        """Bytes a passage."""
        found = self.largest(step)
        return float(found["disk_bytes"]) / int(found["passages"])

    def memory(self, step: str, dim: int = 0) -> int:
        """The most that was held, less what must grow."""
        return flatness(self._series[step, dim]).most

    def growth_of_words(self) -> float:
        """The power of the collection's size with which the number of words grows (Heaps' law), between the two largest."""
        first, last = self._series["bm25-build", 0][-2:]
        return log(last["more"]["words"] / first["more"]["words"]) / log(last["passages"] / first["passages"])


def lines(name: str, measured: Measured, card: Rate) -> Iterator[Line]:
    """All figures of a collection."""
    passages, turns = COLLECTIONS[name]
    yield from _store(passages, measured)
    if measured.has("bm25-build") and measured.has("bm25-search"):
        yield from _bm25(passages, turns, measured)
    for dim in measured.dims:
        yield from _vectors(passages, turns, dim, measured)
    tokens = passages * TOKENS
    yield Line("tokens to encode", f"{passages:,} × {TOKENS}", f"{tokens / 1e9:.2f} × 10⁹")
    hours = 2 * PARAMETERS * tokens / card.flop_a_second / 3600
    arithmetic = (
        f"2 × {PARAMETERS / 1e9:g} × 10⁹ parameters × {tokens:,} tokens / ({card.flop_a_second / 1e12:,.0f} × 10¹² a second) / 3,600"
    )
    yield Line("encoding with a 7B model", arithmetic, f"{hours:,.0f} GPU hours")


def _store(passages: int, measured: Measured) -> Iterator[Line]:
    held = measured.disk("store")
    yield Line("passage store", f"{passages:,} × {held:.0f} bytes", _bytes(passages * held))
    rows = 100_000
    yield Line("of which the id index", f"{passages:,} × 16 bytes", _bytes(16 * passages))
    yield Line("parts of the store", f"⌈{passages:,} / {rows:,}⌉", f"{ceil(passages / rows):,}")
    yield _time("building the store", passages, measured.each("store"))


def _bm25(passages: int, turns: int, measured: Measured) -> Iterator[Line]:
    built = measured.largest("bm25-build")
    size, more = built["passages"], built["more"]
    held = more["postings"] / size
    postings = passages * held
    yield Line("BM25 postings", f"{passages:,} × {held:.1f}", f"{postings / 1e9:.2f} × 10⁹")
    yield Line("BM25 scores and passages", f"{postings:,.0f} × 8 bytes", _bytes(8 * postings))
    power = measured.growth_of_words()
    words = more["words"] * (passages / size) ** power
    yield Line("different words", f"{more['words']:,} × ({passages:,} / {size:,}) ^ {power:.2f}", f"{words / 1e6:.1f} × 10⁶")
    each, flat = built["must_grow"]["vocabulary"] / more["words"], measured.memory("bm25-build")
    needed = flat + words * each + 4 * passages
    arithmetic = f"{_bytes(flat)} + {words / 1e6:.1f} × 10⁶ words × {each:.0f} bytes + {passages:,} lengths × 4 bytes"
    yield Line("memory to build BM25", arithmetic, _bytes(needed))
    yield _time("building BM25", passages, measured.each("bm25-build"))
    asked = measured.largest("bm25-search")["more"]["queries"]
    each_query = measured.each("bm25-search") / asked
    seconds = passages * each_query * turns
    arithmetic = f"{turns:,} queries × {passages:,} × {1e9 * each_query:.2f} ns"
    yield Line("searching BM25 for all turns, k = 1,000", arithmetic, _duration(seconds))


def _vectors(passages: int, turns: int, dim: int, measured: Measured) -> Iterator[Line]:
    size = passages * dim * STORAGE
    arithmetic = f"{passages:,} × {dim:,} × {STORAGE} bytes = {size:,} bytes"
    yield Line(f"vectors, {dim:,} wide, float16", arithmetic, f"{size / 1e9:,.1f} GB = {size / 2**30:,.1f} GiB")
    yield Line("shards", f"⌈{passages:,} / 8,192⌉", f"{ceil(passages / 8192):,}")
    nodes = ", ".join(f"{ceil(size / (_FOR_VECTORS * memory * 2**30)):,} of {memory:,} GiB" for memory in NODE_MEMORY)
    yield Line("nodes that hold the vectors in memory", f"⌈{size / 2**30:,.1f} GiB / ({_FOR_VECTORS:g} × memory of a node)⌉", nodes)
    cards = f"⌈{size / 1e9:,.1f} GB / ({_FOR_VECTORS:g} × {CARD_MEMORY} GB)⌉"
    yield Line(f"cards of {CARD_MEMORY} GB that hold the vectors", cards, f"{ceil(size / (_FOR_VECTORS * CARD_MEMORY * 1e9)):,}")
    yield _time(f"writing {dim:,} wide vectors, the model's own time apart", passages, measured.each("encode", dim))
    more = measured.largest("search", dim)["more"]
    read, multiply = more["disk_bytes_a_second"], more["flop_a_second"]
    reading, multiplying = size / read, 2 * BATCH * passages * dim / multiply
    yield Line(f"reading {dim:,} wide vectors once", f"{size:,} bytes / {read / 1e9:.2f} GB a second", _duration(reading))
    arithmetic = f"2 × {BATCH} × {passages:,} × {dim:,} / ({multiply / 1e9:.0f} × 10⁹ a second)"
    yield Line(f"multiplying with {BATCH} queries, one core", arithmetic, _duration(multiplying))
    asked, each = more["queries"], measured.each("search", dim)
    seconds = passages * each
    yield Line(
        f"one search of {asked} queries, k = 1,000, one core", f"{passages:,} × {1e6 * each:.2f} µs, as measured", _duration(seconds)
    )
    if asked < BATCH:
        added = 2 * (BATCH - asked) * passages * dim / multiply
        arithmetic = f"{_duration(seconds)} + 2 × {BATCH - asked} × {passages:,} × {dim:,} / ({multiply / 1e9:.0f} × 10⁹ a second)"
        yield Line(f"one search of {BATCH} queries, one core", arithmetic, _duration(seconds + added))
        seconds += added
    batches = ceil(turns / BATCH)
    arithmetic = f"⌈{turns:,} / {BATCH}⌉ = {batches:,} searches × {_duration(seconds)}"
    yield Line(f"searching {dim:,} wide for all turns, one core", arithmetic, _duration(batches * seconds))


def _time(what: str, passages: int, each: float) -> Line:
    return Line(what, f"{passages:,} × {1e6 * each:.1f} µs", _duration(passages * each))


def _bytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:,.1f} s"
