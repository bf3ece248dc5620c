"""Two runs side by side as lines of text: who they are, and a table of the measures they share."""

from __future__ import annotations

from collections.abc import Sequence

from convbench.analysis.resampling import Resampling
from convbench.comparison.side_by_side import MeasurePair
from convbench.harness.finished import FinishedRun
from convbench.report.numbers import per_cent, points, probability
from convbench.report.terminal import cut, filled, padded, printable, width_of, words_of
from convbench.report.words import conditions_in_words, counted

NO_VALUE = "-"
_HEADINGS = ("A", "B", "B - A", "95 % interval", "p", "turns")
_WIDTHS = (6, 6, 7, 17, 7, 6)
_UNLIKE = 1e-9
"""The mean over shared turns is another number than the difference of the aggregates."""


def heading(first: FinishedRun, second: FinishedRun, width: int) -> list[str]:
    """Which run is A and which is B, what they are on, and the conditions that tell them apart."""
    runs = (first, second)
    names = [printable(run.name) for run in runs]
    widest = max(map(width_of, names))
    lines = [f"{letter}  {padded(name, widest)}  {printable(str(run.path))}" for letter, name, run in zip("AB", names, runs, strict=True)]
    dataset = first.results.dataset
    size = f"{counted(dataset.n_turns, 'turn')} in {counted(dataset.n_conversations, 'conversation')}"
    lines.append(f"on {printable(dataset.name)}, split {printable(dataset.split)}: {size}")
    conditions = [[*conditions_in_words(run.results.conditions), f"seed {run.results.seed}"] for run in runs]
    for letter, own, others in zip("AB", conditions, reversed(conditions), strict=True):
        if apart := [phrase for phrase in own if phrase not in others]:
            lines += filled(words_of(f"only {letter}: {'; '.join(apart)}"), width)
    return lines


def table(pairs: Sequence[MeasurePair], plan: Resampling, width: int) -> list[str]:
    """The measures, protocol by protocol, in per cent, and what the numbers are."""
    import click

    names = [printable(pair.name) for pair in pairs]
    room = max(width - sum(_WIDTHS) - 2 * len(_WIDTHS) - 2, 8)
    widest = min(max(map(width_of, [*names, "measure"])), room)
    lines = [click.style(_line("measure", _HEADINGS, widest + 2), bold=True)]
    protocol: str | None = None
    for pair, name in zip(pairs, names, strict=True):
        if pair.protocol != protocol:
            protocol = pair.protocol
            lines.append(click.style(cut(printable(protocol) or "under no protocol", width), dim=True))
        lines.append(_line(f"  {name}", _cells(pair), widest + 2) + _remark(pair))
    return [*lines, "", *filled(words_of(_note(pairs, plan)), width)]


def shown(value: float | None) -> str:
    """A value in per cent, or what stands for none."""
    return NO_VALUE if value is None else per_cent(value)


def _line(name: str, cells: Sequence[str], widest: int) -> str:
    texts = [f"{cell:>{size}}" for cell, size in zip(cells, _WIDTHS, strict=True)]
    return "  ".join([padded(name, widest), *texts]).rstrip()


def _cells(pair: MeasurePair) -> tuple[str, ...]:
    values = (shown(pair.first), shown(pair.second))
    if pair.differing:
        return (*values, "", "", "", "")
    difference = points(pair.difference) if pair.difference is not None else NO_VALUE
    if pair.paired is None:
        return (*values, difference, NO_VALUE, NO_VALUE, "")
    interval = f"[{points(pair.paired.interval[0])}, {points(pair.paired.interval[1])}]" if pair.paired.interval else NO_VALUE
    p = probability(pair.paired.p) if pair.paired.p is not None else NO_VALUE
    return (*values, difference, interval, p, f"{pair.paired.n_turns:,}")


def _remark(pair: MeasurePair) -> str:
    if pair.differing:
        return f"  not compared: {printable(', '.join(part.part for part in pair.differing))}"
    mean = pair.paired.mean if pair.paired else None
    if mean is None or (pair.difference is not None and abs(mean - pair.difference) <= _UNLIKE):
        return ""
    return f"  ({points(mean)} on these)"


def _note(pairs: Sequence[MeasurePair], plan: Resampling) -> str:
    texts = ["In per cent."]
    if any(pair.paired and pair.paired.interval for pair in pairs):
        texts.append(
            "Interval and p: paired, over the turns that both have a value for; whole conversations are resampled "
            f"{plan.resamples:,} times, and their signs flipped. p is not corrected for the number of measures."
        )
    if any(pair.paired is None and pair.difference is not None for pair in pairs):
        texts.append("What is computed over all turns at once is not tested.")
    return " ".join(texts)
