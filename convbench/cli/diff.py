"""``convbench diff``: two runs side by side, as far as they may be compared, and the turns on which they differ."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convbench.comparison.flips import Flips, Order
    from convbench.comparison.side_by_side import MeasurePair
    from convbench.datasets.store import PassageStore
    from convbench.harness.finished import FinishedRun
    from convbench.report.turn_diff import Layout

log = logging.getLogger(__name__)

TURNS, PASSAGES = 10, 3
"""What is shown where nothing is said."""


@click.command("diff")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option(
    "--measure",
    "measures",
    multiple=True,
    metavar="NAME",
    help="Decides what flipped (NAME or PROTOCOL/NAME); further ones are shown beside it. Default: a ranking and a response measure.",
)
@click.option("--turns", type=click.IntRange(min=0), help=f"How many turns to show. Default: {TURNS}, all with --json.")
@click.option(
    "--sort",
    "order",
    type=click.Choice(["size", "worse", "better"]),
    default="size",
    show_default=True,
    help="First the greatest differences, what SECOND does worse, or what it does better.",
)
@click.option(
    "--slice",
    "slices",
    multiple=True,
    metavar="SLICING=LABEL",
    help="Only turns of this slice (depth=1 ...); of all where several are given.",
)
@click.option("--passages", type=click.IntRange(min=0), help=f"Passages of each ranking. Default: {PASSAGES}, all with --json.")
@click.option("--full", is_flag=True, help="Show queries, responses and references whole.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder of passage stores, as in `convbench run`.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    first: Path,
    second: Path,
    measures: tuple[str, ...],
    turns: int | None,
    order: Order,
    slices: tuple[str, ...],
    passages: int | None,
    full: bool,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Show the measures of two run folders with their differences, SECOND minus FIRST, and the turns that flipped.

    Numbers whose signatures differ are not compared: the parts that differ are named, and the exit code is 2.

    \b
    convbench diff runs/bm25-query runs/bm25-history
    convbench diff runs/bm25-query runs/bm25-history --measure RR@100 --sort worse --turns 3
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.analysis.resampling import Resampling
    from convbench.comparison.flips import flips
    from convbench.comparison.measure_choice import named_measures, usual_measures
    from convbench.comparison.side_by_side import side_by_side
    from convbench.errors import UsageError
    from convbench.harness.finished import load_run
    from convbench.report.diff_json import diff_json
    from convbench.report.side_by_side_table import heading, table
    from convbench.report.terminal import printable_json, terminal_width
    from convbench.report.turn_diff import Layout

    ours, theirs = (load_run(path, cache=cache) for path in (first, second))
    whole = _with_dataset(ours, theirs)
    dataset = whole.dataset if whole else None
    turn_ids = [turn.id for turn in dataset.turns] if dataset else list(dict.fromkeys([*ours.records, *theirs.records]))
    plan = Resampling()
    pairs = side_by_side(ours, theirs, turn_ids, plan)
    if not pairs:
        raise UsageError(f"{first} and {second} have no measure in common: score them under the same protocol first")
    chosen = named_measures(pairs, measures) if measures else usual_measures(pairs)
    counted = _of_slices(slices, whole, (ours, theirs)) if slices else turn_ids
    found = flips(ours, theirs, chosen, counted, dataset, order) if chosen else None
    if as_json:
        click.echo(printable_json(diff_json(ours, theirs, pairs, found, slices, turns, passages)))
    else:
        width = terminal_width()
        _show([*heading(ours, theirs, width), "", *table(pairs, plan, width)])
        if found:
            layout = Layout(width, PASSAGES if passages is None else passages, full)
            _show_turns(found, slices, TURNS if turns is None else turns, layout, whole)
    _refuse_differing(pairs)


def _with_dataset(first: FinishedRun, second: FinishedRun) -> FinishedRun | None:
    """The first run whose dataset is at hand; a warning says what is left out where neither's is."""
    from convbench.errors import ConvbenchError

    reasons = []
    for run in (first, second):
        try:
            _ = run.dataset
            return run
        except ConvbenchError as error:
            reasons.append(str(error))
    log.warning("warning: queries, gold passages and references are left out, as the dataset is not at hand: %s", reasons[0])
    return None


def _of_slices(slices: Sequence[str], whole: FinishedRun | None, runs: Sequence[FinishedRun]) -> list[str]:
    from convbench.comparison.slice_turns import turns_of_slices
    from convbench.errors import UsageError

    if whole is None:
        raise UsageError("--slice needs the dataset, which is not at hand; put its files back, or leave --slice out")
    return turns_of_slices(whole.dataset, [run.records for run in runs], slices)


def _store(run: FinishedRun) -> PassageStore | None:
    """The passages, to show how they begin; a warning says so where they cannot be shown."""
    from convbench.errors import ConvbenchError

    try:
        return run.store
    except ConvbenchError as error:
        log.warning("warning: passages are shown by their ids alone: %s", error)
        return None


def _show_turns(found: Flips, slices: Sequence[str], most: int, layout: Layout, whole: FinishedRun | None) -> None:
    from convbench.report.turn_diff import summary, turn_lines

    shown = found.turns[:most]
    _show(["", *summary(found, slices, len(shown), layout.width)])
    store = _store(whole) if whole and shown and layout.passages else None
    for number, flip in enumerate(shown, start=1):
        _show(["", *turn_lines(number, flip, found, store, layout)])


def _show(lines: Sequence[str]) -> None:
    click.echo("\n".join(lines))


def _refuse_differing(pairs: Sequence[MeasurePair]) -> None:
    from convbench.errors import UsageError

    refused = [pair for pair in pairs if pair.differing]
    if refused:
        reasons = dict.fromkeys("; ".join(map(str, pair.differing)) for pair in refused)
        raise UsageError(f"{len(refused)} of {len(pairs)} measures do not compare: {' | '.join(reasons)}; score both runs the same way")
