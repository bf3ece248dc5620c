"""What stands under a table: turn sets, missing turns, warnings, and why cells are as they are."""

from __future__ import annotations

from collections.abc import Sequence

from convbench.harness.results import MetricResult, Results, Truncation
from convbench.metrics.signatures import leaves_missing_out
from convbench.report.columns import Column
from convbench.report.words import counted


def turn_sets(columns: Sequence[Column], runs: Sequence[Results]) -> list[str]:
    """Which turns the columns average over; the measures are named where they do not all agree."""
    measures: dict[str, dict[str, None]] = {}
    for column in columns:
        for run in runs:
            result = column.result_of(run)
            if result is not None and result.signature:
                turns = f"{counted(result.n_turns, 'turn')} of {counted(result.n_conversations, 'conversation')} (rule: {result.turn_set})"
                measures.setdefault(turns, {})[column.label] = None
    if len(measures) == 1:
        return list(measures)
    return [f"{turns}: {', '.join(labels)}" for turns, labels in measures.items()]


def missing_turns(columns: Sequence[Column], runs: Sequence[Results]) -> list[str]:
    """How many turns each run lacks, runs that lack none left out."""
    counts = [(run.system["name"], max((result.n_missing for result in _results(columns, run)), default=0)) for run in runs]
    return [f"{name}: {count:,}" for name, count in counts if count]


def warnings(runs: Sequence[Results]) -> list[str]:
    """Every warning once, with the systems it is for unless it is for all; that turns were truncated is one."""
    systems: dict[str, list[str]] = {}
    for run in runs:
        for warning in dict.fromkeys([*run.warnings, *_truncated(run.truncation)]):
            systems.setdefault(warning, []).append(str(run.system["name"]))
    return [warning if len(names) == len(runs) else f"{', '.join(names)}: {warning}" for warning, names in systems.items()]


def remarks(result: MetricResult | None) -> list[str]:
    """What a reader of one cell must know: why there is no value, or no interval, or which turns are not in it."""
    if result is None:
        return []
    given = [result.reason] if result.reason else []
    if result.n_missing and not leaves_missing_out(result.signature):
        given.append(f"{result.n_missing:,} of {counted(result.n_turns, 'turn')} missing from the run, scored 0")
    if result.value is not None and result.ci is None:
        why = "it takes two conversations or more" if result.aggregate == "mean" else "it is computed over all turns at once"
        given.append(f"no interval: {why}")
    return given


def _truncated(truncation: Truncation) -> list[str]:
    if not truncation.share:
        return []
    cut = ", ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in truncation.by.items())
    return [f"{100 * truncation.share:.1f} % of turns truncated ({cut})"]


def _results(columns: Sequence[Column], run: Results) -> list[MetricResult]:
    return [result for column in columns if (result := column.result_of(run)) is not None]
