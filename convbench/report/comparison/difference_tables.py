"""Differences: a row a declared measure and pair, and what they say together."""

from __future__ import annotations

from convbench.comparison.model import Contrast, Measured, Settings, TaskComparison
from convbench.comparison.power import can_tell_apart, least_p, tested_conversations, told_apart
from convbench.comparison.task import Yardstick
from convbench.report.comparison.cells import number_cell, p_cell
from convbench.report.comparison.results_tables import heading
from convbench.report.comparison.table import Cell, Column, Table
from convbench.report.numbers import between, level_in_words, per_cent, points
from convbench.report.words import ABSENT, counted

TOLD_APART = "*"


def difference_table(compared: TaskComparison, settings: Settings) -> Table | None:
    """Every declared test, measure by measure, the largest difference first; None where nothing is tested."""
    rows = tuple(
        _row(measured.measure, contrast)
        for measured in compared.measured
        if measured.measure.declared
        for contrast in sorted(measured.contrasts, key=_size, reverse=True)
    )
    if not rows:
        return None
    level = level_in_words(settings.resampling.level)
    columns = (
        Column("Measure", kind="text"),
        Column("System", kind="text"),
        Column("Against", kind="text"),
        Column("Difference", title="mean of the turns' differences, in points; positive: the first system is higher"),
        Column(f"{level} interval", kind="text", title="percentile bootstrap over conversations"),
        Column(f"{level} BCa", kind="text", title="bias-corrected and accelerated bootstrap over conversations"),
        Column("p", title="sign flips of whole conversations, two-sided, uncorrected"),
        Column("p (Holm)", title="corrected over the declared family"),
        Column("W/T/L", kind="text", title="turns on which the first is higher, equal, lower"),
        Column("d", title="mean of the differences over their standard deviation"),
        Column("MDD", title="minimum detectable difference: what one test finds with a power of 80 %, before correction"),
        Column("ICC", title="intra-conversation correlation of the differences"),
    )
    caption = f"Paired differences on {compared.task.title}, in points (per cent)."
    return Table(f"{compared.task.id}-differences", caption, columns, rows, tuple(_notes(compared, settings)))


def same_direction(retrieval: Measured, response: Measured) -> tuple[int, int]:
    """(pairs whose retrieval and response differences point to the same system, pairs in which neither difference is 0)."""
    others = {(contrast.first, contrast.second): contrast for contrast in response.contrasts}
    signs = [
        _direction(retrieval.measure, contrast) * _direction(response.measure, other)
        for contrast in retrieval.contrasts
        if (other := others.get((contrast.first, contrast.second))) is not None
    ]
    return sum(sign > 0 for sign in signs), sum(sign != 0 for sign in signs)


def _direction(measure: Yardstick, contrast: Contrast) -> int:
    mean = contrast.result.mean or 0.0
    return ((mean > 0) - (mean < 0)) * (1 if measure.higher_is_better else -1)


def _size(contrast: Contrast) -> float:
    return abs(contrast.result.mean or 0.0)


def _row(measure: Yardstick, contrast: Contrast) -> tuple[Cell, ...]:
    result = contrast.result
    apart = bool(contrast.better)
    difference = Cell(ABSENT) if result.mean is None else Cell(points(result.mean), result.mean, mark=TOLD_APART if apart else "")
    detectable = Cell(ABSENT) if result.detectable is None else Cell(per_cent(result.detectable), result.detectable)
    return (
        Cell(heading(measure)),
        Cell(contrast.first, strong=contrast.better == contrast.first),
        Cell(contrast.second, strong=contrast.better == contrast.second),
        difference,
        Cell(between(result.interval) or ABSENT),
        Cell(between(result.bca) or ABSENT),
        p_cell(result.p),
        p_cell(contrast.adjusted, mark=TOLD_APART if apart else ""),
        Cell(f"{result.wins}/{result.ties}/{result.losses}"),
        number_cell(result.effect),
        detectable,
        number_cell(result.correlation),
    )


def _notes(compared: TaskComparison, settings: Settings) -> list[str]:
    plan = settings.resampling
    family, alpha = compared.family, level_in_words(settings.alpha)
    notes = [
        f"Differences are first minus second. {TOLD_APART}: told apart at {alpha} after Holm over {counted(family.tests, 'test')} "
        f"({counted(len(family.measures), 'measure')} × {counted(len(family.pairs), 'pair')}); the better system is bold. "
        f"{told_apart(compared)} of {family.tests} are.",
        f"p: sign flips of whole conversations, B = {plan.resamples:,}, seed {plan.seed}. Intervals: bootstrap over whole conversations, "
        "not corrected for the number of tests.",
        f"MDD: the smallest true difference that one test at {level_in_words(1 - plan.level)} finds with a power of 80 %, before "
        "correction. A pair that is not told apart may still differ by less than that, or by more with bad luck.",
        "W/T/L: turns on which the first is higher, equal, lower. d: mean of the turns' differences over their standard deviation. ICC: "
        "intra-conversation correlation of the differences.",
    ]
    if family.tests and not can_tell_apart(compared, settings):
        many = f"{counted(tested_conversations(compared), 'conversation')} and {counted(plan.resamples, 'resample')}"
        first = f"Holm's first step needs {settings.alpha / family.tests:.2g}"
        notes.append(
            f"With {many} the smallest p is about {least_p(compared, settings):.2g}, but {first}: none of these tests can be significant."
        )
    return notes
