"""A dry run as lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from convbench.training.batch_shape import BatchShape
from convbench.training.dry_run import Computed, DryRun
from convbench.training.memory import Memory


def show(found: DryRun) -> list[str]:
    """The dry run as aligned text, a line each."""
    lines = [f"{found.name}: {found.model}"]
    lines += [
        f"{found.steps:,} steps of {found.examples_a_step:,.1f} examples on average; {found.examples:,} in all: {found.epochs:,.2f} epochs",
        found.plan.describe(),
        found.sharing.describe(),
        *_section("sources", _sources(found)),
        *_section("contamination", _shared(found)),
        *_section("batches", _batches(found.batches)),
        *_section("one batch, forward and backward", _computed(found.computed)),
        *_section("memory of a process, GiB (an estimate; see docs)", _memory(found.memory)),
    ]
    return lines


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield ""
    yield title
    yield from (f"  {line}" for line in lines)


def _sources(found: DryRun) -> Iterator[str]:
    header = ("source", "weight", "conversations", "examples", "feeds", "negatives")
    rows = []
    for source in found.sources:
        feeds = ", ".join(f"{objective} {count:,}" for objective, count in source["feeds"].items())
        counts = found.negatives.get(source["name"])
        negatives = f"{counts['mean']:.1f} each, {counts['have']:,} of {counts['examples']:,} have some" if counts else "-"
        conversations = f"{source['conversations']:,} of {source['conversations_in_all']:,}"
        rows.append((source["name"], f"{source['weight']:g}", conversations, f"{source['examples']:,}", feeds, negatives))
    yield from _table([header, *rows])
    for source in found.sources:
        yield from (f"{source['name']}: {note}" for note in source["notes"])


def _shared(found: DryRun) -> Iterator[str]:
    if not found.shared:
        yield "no evaluation set is named"
    for name, findings in found.shared.items():
        if not findings:
            yield f"{name}: nothing is shared"
        for each in findings:
            yield f"{name}: {each.severity}: {each.source}: {each.message}"


def _batches(batches: Sequence[BatchShape]) -> Iterator[str]:
    header = ("batch", "examples", "conversations", "negatives", "rows", "tokens", "padding", "chunks", "largest pass", "shortened")
    rows = []
    for number, each in enumerate(batches, start=1):
        largest = max(each.passes, key=lambda one: one.rows * one.width)
        counts = (number, each.examples, each.conversations, each.negatives, each.rows, each.tokens)
        shape = f"{largest.rows} x {largest.width} {largest.reads}"
        rows.append(
            (*(f"{count:,}" for count in counts), f"{each.padding:.1%}", str(len(each.chunks)), shape, f"{each.shortened} sessions")
        )
    yield from _table([header, *rows])
    kinds = dict.fromkeys(kind for each in batches for kind in each.longest)
    longest = (f"{kind} {max(each.longest.get(kind, 0) for each in batches):,}" for kind in kinds)
    yield f"longest, in tokens: {', '.join(longest)}"


def _computed(computed: Computed) -> Iterator[str]:
    losses = ", ".join(f"{name} {loss:.4f}" for name, loss in {**computed.losses, "total": computed.total}.items())
    yield f"losses: {losses}; norm of the gradients {computed.norm:.4g}"
    speed = computed.tokens / max(computed.seconds, 1e-6)
    yield f"{computed.tokens:,} tokens in {computed.seconds:.2f} s on {computed.device}: {speed:,.0f} tokens/s"
    if computed.wrong:
        yield f"training would stop here: {computed.wrong}"


def _memory(estimates: Sequence[Memory]) -> Iterator[str]:
    for model, group in groupby(estimates, key=lambda each: each.model):
        pair = list(group)
        chunk = pair[0].chunk
        yield f"{model}: {pair[0].parameters:,} parameters, {pair[0].learnt:,} learnt; a chunk of {chunk.tokens:,} tokens"
        names = [name for name, _ in pair[0].rows()]
        columns = [[size for _, size in each.rows()] for each in pair]
        heads = [_head(each) for each in pair]
        yield from (f"  {line}" for line in _table([("", *heads), *zip(names, *columns, strict=True)], right=True))


def _head(each: Memory) -> str:
    if each.processes == 1:
        return "whole"
    return f"ZeRO over {each.processes}" if each.zero else f"sharded over {each.processes}"


def _table(rows: Sequence[Sequence[str]], *, right: bool = False) -> Iterator[str]:
    """Rows as lines with aligned columns; ``right`` aligns all but the first by their ends."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if right and place else cell.ljust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
