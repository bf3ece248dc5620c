"""Writes docs/scale.md and its pictures from the figures of ``scale.py``.

    python benchmarks/scale_page.py            # writes them
    python benchmarks/scale_page.py --check    # fails where they are not what the figures say

Pictures are compared where they were drawn by the same matplotlib.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import scale_extrapolation as extrapolation
from scale_checks import FLAT, LINEAR, Measurement, flatness, linearity, named, series
from scale_plots import pictures

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "scale.md"

INTRODUCTION = """# Scale: memory, disk and time as a collection grows

This page is written by `benchmarks/scale_page.py` from the figures in `benchmarks/results/scale.json`; do not edit it by hand. Measure
again with `python benchmarks/scale.py --out benchmarks/results/scale.json`, which takes about a quarter of an hour on two idle cores and
{disk:.0f} GB of disk; `--resume` goes on with a run that was stopped.

## How it is measured

- Passages are made of {shortest} to {longest} words that a seeded generator draws by the laws of a language: a few words are very common,
  and new ones never cease to come. Making them is not part of any time.
- The encoder is a stand-in that looks vectors up by the text's digest and costs next to nothing. Everything around it is what a run uses:
  the store, shards with their manifest and digests, BM25 and the searches, each through its retriever.
- Every step runs in a process of its own, on one thread. Before a search the system is told to forget the index, so that it is read from
  disk, as a collection larger than the memory is.
- Memory is read every {look:.0f} ms. **Anonymous** memory is what the step holds (`RssAnon`, which `smaps_rollup` adds up as `Anonymous`).
  **Mapped** pages belong to files: the system keeps them as long as nobody needs the room, so they grow with what was read, and are not
  counted as the step's. **Resident** is the peak of both together (`VmHWM`).
- Memory is flat where the largest peak of anonymous memory is at most {flat:.0%} above the smallest. What must grow with a collection is
  taken off first and shown below. A collection that does not fill the buffers of a step (a part of the store, a shard, a block of a search,
  the words that BM25 remembers) says nothing of how far they grow, and is left out; its figures stand in the tables.
- Time is linear where the slope of log time over log passages is at most {linear:.2f}: 1 is linear, less means that a fixed part still
  counts. Seconds of the processor are shown beside those of the clock, since other work on the machine slows only the latter.
"""

PURPOSE = {
    "store": "building the passage store",
    "look-up": "reading 100 passages by their ids",
    "bm25-build": "building a BM25 index",
    "bm25-search": "512 BM25 queries, the best 1,000",
    "encode": "encoding into shards",
    "search": "exact search, the best 1,000 (384 wide: 512 queries, 4,096 wide: 64)",
    "approximate": "building an IVF-PQ index",
}

NOT_MEASURED = """## What was not measured

- A collection of tens of millions of passages. The figures above assume that what is linear up to {largest:,} passages stays so.
- Text of a language, and a real encoder on it: `benchmarks/encoding.py` and `benchmarks/gpu_encoding.py` time those.
- Several machines: neither the network nor Ray. Times are those of one core; search and encoding split by shards, building the store does
  not.
- Other disks. The pace of reading is that of this machine's, and a search of vectors that lie in memory does not wait for it.
- How exact an approximate index is: the vectors are random numbers, which have no near neighbours. On real vectors every run measures it.
- Reading the original files of a dataset, which are compressed or JSON.
"""

REASONS: Mapping[str, str] = {
    "BM25, build": "the peak is where a block of 65,536 passages is sorted, which takes about 140 MiB beside what is held. Of that the "
    "words whose stems are remembered (up to 262,144; seen at the ends of blocks: 90,000 to 254,000) depend on where blocks end: the peak "
    "goes up and down with them by some tens of MiB, within a bound, rather than up with the collection.",
}
"""Series -> why its memory does not reach the aim; shown only where it does not."""


WAITING = "the seconds in which the processor worked have a slope of {:.2f}: the rest is waiting, for the disk or for other work."
UNKNOWN = "not explained yet."


def page(figures: Mapping[str, Any], gpu: Mapping[str, Any] | None) -> str:
    """The page from the figures; the same figures give the same page."""
    measurements = figures["measurements"]
    sections = [
        _introduction(figures),
        *_machine(figures["environment"], figures["settings"]),
        *_verdicts(measurements),
        *_pictures(),
        *_tables(measurements),
        *_must_grow(measurements),
        *_extrapolated(measurements, extrapolation.rate(gpu)),
        NOT_MEASURED.format(largest=max(each["passages"] for each in measurements)),
    ]
    return "\n".join(sections)


def _introduction(figures: Mapping[str, Any]) -> str:
    shortest, longest = figures["settings"]["words_in_a_passage"]
    settings = {"shortest": shortest, "longest": longest, "flat": FLAT, "linear": LINEAR, "look": 1000 * figures["settings"]["look_every"]}
    return INTRODUCTION.format(**settings, disk=_disk(figures["measurements"]))


def _disk(measurements: Sequence[Measurement]) -> float:
    """GB that lie on disk at most: what is left of the largest collection, and its widest vectors."""
    largest = max(each["passages"] for each in measurements)
    of = {name: found[-1]["disk_bytes"] for name, found in series(measurements) if found[-1]["passages"] == largest}
    vectors = [size for name, size in of.items() if name.startswith("encode")]
    return (sum(of.values()) - sum(vectors) + max(vectors, default=0)) / 1e9


def _machine(where: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    yield "## Measured on\n"
    versions = ", ".join(f"{package} {number}" for package, number in where["versions"].items())
    yield _paragraph(
        f"{where['processor']}, {where['cores']} cores, one of them used; load before: {where['load_before']:g} (1 is one busy core).",
        f"{versions}. A part of the store holds {settings['part_rows']:,} passages, a shard {settings['shard_rows']:,} vectors, a block",
        f"of a search {settings['block_bytes'] >> 20} MiB of them.",
    )


def _verdicts(measurements: Sequence[Measurement]) -> Iterator[str]:
    yield "## Is memory flat and time linear?\n"
    rows, missed = [], []
    for name, found in series(measurements):
        flat, linear = flatness(found), linearity(found)
        memory = f"{_mib(flat.least)} to {_mib(flat.most)}", f"{flat.rise:+.1%}", _verdict(flat.reached)
        time = ("", "", "")
        if linear is not None:
            time = f"{linear.slope:.2f} ({linear.least:.2f} to {linear.most:.2f})", f"{linear.of_processor:.2f}", _verdict(linear.reached)
        left_out = ", ".join(f"{size / 1e6:g}" for size in flat.too_small) if flat.reached is not None else ""
        rows.append((name, *memory, left_out, *time))
        if flat.reached is False:
            missed.append(f"- {name}, memory: {REASONS.get(name, UNKNOWN)}")
        if linear is not None and not linear.reached:
            missed.append(f"- {name}, time: {WAITING.format(linear.of_processor) if linear.of_processor <= LINEAR else UNKNOWN}")
    header = (
        "step",
        "memory, MiB",
        "rise",
        "flat",
        "left out, million",
        "slope of time (between neighbours)",
        "of processor time",
        "linear",
    )
    yield _table(header, rows)
    if missed:
        yield "Not reached:\n"
        yield "\n".join(missed) + "\n"


def _pictures() -> Iterator[str]:
    yield "Marks are hollow where a collection does not fill the buffers of a step.\n"
    for name, what in (("memory", "memory"), ("disk", "disk"), ("time", "time")):
        yield f"![{what} of each step over the size of the collection](scale/{name}.svg)\n"


def _tables(measurements: Sequence[Measurement]) -> Iterator[str]:
    yield "## All figures\n"
    yield _paragraph(
        "Memory in MiB. Making passages and vectors is left out of the times. Disk is what a step leaves and, beside it, the most that lay",
        "there while it worked.",
    )
    for name, found in series(measurements):
        yield f"### {name}: {PURPOSE[found[0]['step']]}\n"
        rows = [
            (
                f"{each['passages']:,}",
                f"{each['seconds']:.3g}",
                f"{each['processor_seconds']:.3g}",
                f"{1e6 * each['seconds'] / each['passages']:.3g}",
                _mib(each["memory"]["at_start"]),
                _mib(each["memory"]["anonymous_peak"]),
                _mib(each["memory"]["mapped_peak"]),
                _mib(each["memory"]["resident_peak"]),
                f"{each['disk_bytes'] / 1e6:,.0f}" if each["disk_bytes"] else "",
                f"{each['disk_peak'] / 1e6:,.0f}" if each["disk_bytes"] else "",
                _more(each),
            )
            for each in found
        ]
        header = (
            "passages",
            "s",
            "of the processor",
            "µs a passage",
            "at start",
            "anonymous",
            "mapped",
            "resident",
            "disk, MB",
            "at most",
            "besides",
        )
        yield _table(header, rows)


def _more(each: Measurement) -> str:
    more, told = each["more"], []
    if "opening_seconds" in more:
        told.append(f"opening {more['opening_seconds']:.2g} s")
    if "100" in more.get("by_depth", {}):
        told.append(f"k = 100: {more['by_depth']['100']['seconds']:.3g} s")
    if "postings" in more:
        told.append(f"{more['words']:,} words, {more['postings']:,} postings")
    if "disk_bytes_a_second" in more:
        told.append(f"plain reading {more['disk_bytes_a_second'] / 1e9:.2g} GB/s, multiplying {more['flop_a_second'] / 1e9:.0f} GFLOP/s")
    if "index_bytes" in more:
        told.append(f"the index {more['index_bytes'] / 1e6:,.0f} MB")
    return "; ".join(told)


def _must_grow(measurements: Sequence[Measurement]) -> Iterator[str]:
    yield "## What must grow\n"
    yield (
        "Beside the files themselves: while BM25 is built its words are numbered in a dictionary, and the passages' lengths are kept; an\n"
        "approximate index is in memory whole. The id index of the store (16 bytes a passage), postings and vectors are mapped.\n"
    )
    rows = [
        (named(each), f"{each['passages']:,}", what, _mib(size), f"{size / each['passages']:.1f}")
        for each in (each for _, found in series(measurements) for each in found)
        for what, size in each["must_grow"].items()
    ]
    yield _table(("step", "passages", "what", "MiB", "bytes a passage"), rows)


def _extrapolated(measurements: Sequence[Measurement], card: extrapolation.Rate) -> Iterator[str]:
    measured = extrapolation.Measured(measurements)
    sizes = ", ".join(f"{name} {passages:,}" for name, (passages, _) in extrapolation.COLLECTIONS.items())
    yield "## At full size\n"
    yield _paragraph(
        f"The collections ({sizes} passages) from the figures of the largest collection above, on one core of this machine. Divide",
        "times of encoding and search by the number of cores that share them. Put in your own text's bytes, disk's pace and card's rate.",
        "GB are 10⁹ bytes, GiB 2³⁰. 54,573,064 × 4,096 × 2 bytes are 447.1 GB or 416.4 GiB; the 442 GB that are sometimes given for QReCC",
        "are those of 54.0 million passages.",
    )
    yield _paragraph(
        f"A card is taken to do {card.flop_a_second / 1e12:,.0f} × 10¹² operations a second ({card.origin}), a passage to have",
        f"{extrapolation.TOKENS} tokens. With another rate R the hours are those given times {card.flop_a_second / 1e12:,.0f} × 10¹² / R.",
        "Attention, and what is not a matrix product, comes on top of 2 × parameters × tokens.",
    )
    for name in extrapolation.COLLECTIONS:
        yield f"### {name}\n"
        rows = [(line.what, line.arithmetic, line.result) for line in extrapolation.lines(name, measured, card)]
        yield _table(("what", "arithmetic", "result"), rows)


def _verdict(reached: bool | None) -> str:
    return "" if reached is None else "yes" if reached else "**NOT reached**"


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f}"


def _paragraph(*parts: str) -> str:
    return fill(" ".join(parts), 140, break_on_hyphens=False) + "\n"


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (header, ["---"] * len(header), *rows)) + "\n"


def stale(page_path: Path, text: str, drawn: Mapping[str, str]) -> Iterator[Path]:
    """Files that are not what the figures say."""
    folder = page_path.with_suffix("")
    if not page_path.exists() or page_path.read_text(encoding="utf-8") != text:
        yield page_path
    for name, svg in drawn.items():
        path = folder / name
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        if not there or (_drawn_by(there) == _drawn_by(svg) and there != svg):
            yield path


def _drawn_by(svg: str) -> str:
    found = re.search(r"<!-- (matplotlib .*?) -->", svg)
    return found[1] if found else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the figures")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page; pictures go to a folder of its name")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where something is stale")
    options = parser.parse_args()
    measured = options.results / "scale.json"
    if not measured.exists():
        sys.exit(f"{measured} is missing: run `python benchmarks/scale.py --out {measured}` first")
    figures = json.loads(measured.read_text(encoding="utf-8"))
    card = options.results / "gpu_encoding.json"
    text = page(figures, json.loads(card.read_text(encoding="utf-8")) if card.exists() else None)
    drawn = pictures(figures["measurements"])
    if options.check:
        if found := list(stale(options.out, text, drawn)):
            names = ", ".join(map(str, found))
            sys.exit(f"not what {measured} says: {names}: run `python benchmarks/scale_page.py`")
        return
    folder = options.out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    for name, svg in drawn.items():
        (folder / name).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
