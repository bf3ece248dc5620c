"""Writes docs/benchmarks.md from the figures under benchmarks/results.

    python benchmarks/page.py            # writes the page
    python benchmarks/page.py --check    # fails where the page is not what the figures say

Files of ``side_by_side.write_results`` give a line for each path, files of ``gpu_figures.write_shares`` one for each share of the card;
any other file is named, with the first line of the script that wrote it.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "benchmarks.md"

INTRODUCTION = """# Benchmarks: is it fast, and how do you know

This page is written by `benchmarks/page.py` from the figures under `benchmarks/results`; do not edit it by hand. Measure again with
`make bench`, which takes about half an hour on two cores.

Each path below is a thing that convbench spends time on, done in two ways: ours, and the named peer's, which is what you would use without
convbench. Before any time is taken, the script asserts that both give the same result, in the sense given under the path. Both are then
run in turn on one thread, after a warm-up, so that other work on the machine slows both. A ratio is the peer's time over
ours, pair by pair: 2 means that ours takes half the time. Where the aim is "at most 1.3 times as long", 0.77 reaches it. Growth is the
exponent p of time ~ work^p, over growing amounts of our own work: 1 is linear, less means that a fixed part still counts.

An aim that is not reached stays in the table, with the reason under the path.
"""

GAPS = {
    "gpu_encoding.json": """Encoding: by counting and not by a profile, what stands between the matrix products (norms, rotary positions,
        activations, sums) reads and writes each token's states some twenty times a layer, about a fifth of the time at this bandwidth;
        attention over padded batches takes a mask and so not the fastest kernel.""",
    "gpu_training.json": """Training: the same, more often, since with checkpointing all of it is computed again; and low-rank matrices are
        narrow products that do not fill the card.""",
    "gpu_search.json": """Search: scores are written and read once more to find the best of each block; with 64 queries they are 2.6 GB
        beside the 20.5 GB of the matrix.""",
    "gpu_responding.json": """Responding: writing is bound by neither arithmetic nor bytes. A step takes about 25 ms whether it writes for
        one conversation or for eight, so the processor's launching of kernels sets the pace; transformers' `generate` keeps the same. That
        is why one cache, which saves reading and not steps, shows little at 1 and 8 conversations (the difference at 1 is what repeats
        differ by) and 1.24 at 32. With random weights next tokens are nearly tied, so that the rounding of bfloat16 decides between them
        and few responses are the same. A server engine, which replays recorded steps, is the way to write fast (`type: server`).""",
}


def page(folder: Path) -> str:
    """The page from the figures in a folder; the same figures give the same page."""
    files = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    timed = {name: content for name, content in files.items() if _has(content, "results")}
    shares = {name: content for name, content in files.items() if _has(content, "shares")}
    others = [name for name in files if name not in timed and name not in shares]
    sections = [INTRODUCTION, *_timed(timed), *_shares(shares), *_machines({**timed, **shares}), *_others(others)]
    return "\n".join(sections)


def _has(content: Any, key: str) -> bool:
    """Whether a file is of this form: other scripts have ``results`` of their own, without ratios."""
    return isinstance(content, dict) and isinstance(content.get("environment"), dict) and isinstance(content.get(key), list)


def _timed(files: Mapping[str, Any]) -> Iterator[str]:
    found = [(name, result) for name, content in files.items() for result in content["results"]]
    if not found:
        return
    yield "## Side by side\n"
    rows = [
        (
            result["path"],
            result["peer"],
            _seconds(result["pairs"]["seconds"]["ours"]["median"]),
            _seconds(result["pairs"]["seconds"]["peer"]["median"]),
            _spread(result["pairs"]["ratio"]),
            _aim(result),
            _verdict(result["reached"]),
        )
        for _, result in found
    ]
    yield _table(("path", "peer", "ours, s", "peer, s", "times as fast: median (min to max)", "aim", "reached"), rows)
    yield "## What was checked, and what to know\n"
    for name, result in found:
        yield f"### {result['path']}\n"
        yield "\n".join(f"- {line}" for line in _details(name, result)) + "\n"


def _details(name: str, result: Mapping[str, Any]) -> Iterator[str]:
    yield f"Asserted before timing: {result['equality']}."
    if result["exponent"] is not None:
        amounts = ", ".join(f"{grown['times']:.3g}x {_seconds(grown['seconds'])} s" for grown in result["growth"])
        yield f"Growth: exponent {result['exponent']:.2f} ({amounts})."
    if result["memory"]:
        yield "Memory: " + ", ".join(f"{what} {value:g}" for what, value in sorted(result["memory"].items())) + "."
    if result["notes"]:
        yield _line(result["notes"])
    yield f"Measured in {result['pairs']['pairs']} pairs; figures in `benchmarks/results/{name}`."


def _shares(files: Mapping[str, Any]) -> Iterator[str]:
    found = [share for content in files.values() for share in content["shares"]]
    if not found:
        return
    yield "## Share of what the card can do\n"
    yield (
        "What the arithmetic and the bytes of a path need at the matrix rate and the memory bandwidth that were measured on the card just\n"
        "before, over the time that the path took.\n"
    )
    rows = [
        (
            share["path"],
            f"{share['flop']:.3g}",
            f"{share['bytes']:.3g}",
            share["bound"],
            _seconds(share["allowed_seconds"]),
            _seconds(share["seconds"]),
            f"{100 * share['share']:.0f} %",
            "" if share["target"] is None else f"{100 * share['target']:.0f} %",
            _verdict(share["reached"]),
        )
        for share in found
    ]
    yield _table(("path", "FLOP", "bytes", "bound by", "allowed, s", "took, s", "share", "aim", "reached"), rows)
    for share in found:
        if share["notes"]:
            yield f"- {share['path']}: {_line(share['notes'])}"
    if gaps := [GAPS[name] for name in files if name in GAPS]:
        yield "\n### What lies between\n"
        yield "\n".join(f"- {_line(gap)}" for gap in gaps) + "\n"


def _machines(files: Mapping[str, Any]) -> Iterator[str]:
    if not files:
        return
    yield "## Measured on\n"
    yield "The load is what the machine was busy with before anything ran: 1 is one core.\n"
    rows = []
    for name, content in files.items():
        where = content["environment"]
        versions = ", ".join(f"{package} {number}" for package, number in where["versions"].items())
        processor = f"{where['card']['name']}, {where['processor']}" if "card" in where else where["processor"]
        rows.append((f"`{name}`", processor, where["cores"], where["threads"], f"{where['load_before']:g}", versions))
    yield _table(("figures", "processor", "cores", "threads", "load", "versions"), rows)


def _others(names: Sequence[str]) -> Iterator[str]:
    if not names:
        return
    yield "## Other measurements\n"
    yield "Limits that are kept and rates that are counted, without a peer.\n"
    yield _table(("figures", "what they are"), [(f"`benchmarks/results/{name}`", _first_line(name)) for name in names])


def _first_line(name: str) -> str:
    """What the script of that name says of itself."""
    script = HERE / f"{Path(name).stem}.py"
    if not script.exists():
        return ""
    return (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _aim(result: Mapping[str, Any]) -> str:
    if result["at_most"] is not None:
        return f"at most {result['at_most']:g} times as long"
    return "" if result["target"] is None else f"{result['target']:g}"


def _verdict(reached: bool | None) -> str:
    return "" if reached is None else "yes" if reached else "**no**"


def _spread(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.3g} ({spread['min']:.3g} to {spread['max']:.3g})"


def _seconds(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the figures")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is stale")
    options = parser.parse_args()
    text = page(options.results)
    if not options.check:
        options.out.write_text(text, encoding="utf-8")
    elif not options.out.exists() or options.out.read_text(encoding="utf-8") != text:
        sys.exit(f"{options.out} is not what {options.results} says: run `python benchmarks/page.py`")


if __name__ == "__main__":
    main()
