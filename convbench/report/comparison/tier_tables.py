"""Do the tiers agree? Kendall's tau-b between the orders of systems on two collections, and the pairs that a small one gets wrong."""

from __future__ import annotations

from collections.abc import Iterator

from convbench.analysis.rank_agreement import FEW, RankAgreement
from convbench.comparison.model import Comparison, Settings, TaskComparison
from convbench.comparison.tier_model import TierAgreement
from convbench.report.comparison.cells import difference_cell, p_cell
from convbench.report.comparison.phrases import are, listed
from convbench.report.comparison.results_tables import heading
from convbench.report.comparison.table import Cell, Column, Table
from convbench.report.numbers import level_in_words
from convbench.report.words import ABSENT, counted

TITLE = "Do the tiers agree?"


def tier_tables(compared: TaskComparison, settings: Settings) -> list[Table | None]:
    """For every larger collection: tau of each retrieval measure, and the pairs of systems that are swapped."""
    several = len(compared.tiers) > 1
    suffixes = [f"-{agreement.task}" if several else "" for agreement in compared.tiers]
    return [
        table
        for agreement, suffix in zip(compared.tiers, suffixes, strict=True)
        for table in (_taus(compared, agreement, suffix, settings), _swaps(compared, agreement, suffix, settings))
    ]


def tier_statements(compared: TaskComparison, settings: Settings) -> list[str]:
    """What the tables say, and what to think of it."""
    return [sentence for agreement in compared.tiers for sentence in _statements(agreement, settings)]


def tier_summary(comparison: Comparison) -> list[str]:
    """A sentence for every two collections whose orders were compared, by the leading measure."""
    return [
        f"{compared.task.title}, against {agreement.title}: {_tau(agreement, comparison.settings)}."
        for compared in comparison.tasks
        for agreement in compared.tiers
        if agreement.orders
    ]


def _statements(agreement: TierAgreement, settings: Settings) -> Iterator[str]:
    if len(agreement.systems) < 2:
        yield (
            f"Against {agreement.title}: {counted(len(agreement.systems), 'system')} with the same settings ran on both; an "
            "order needs two or more."
        )
        return
    if not agreement.orders:
        yield f"Against {agreement.title}: no retrieval measure is scored in the same way on both."
        return
    yield f"Against {agreement.title}: {_tau(agreement, settings)}."
    if len(agreement.systems) < FEW:
        yield f"With {len(agreement.systems)} systems tau can take so few values that it says little: run {FEW} or more on both."
    swapped = {(swap.better, swap.worse) for order in agreement.orders for swap in order.swaps}
    apart = f"at {level_in_words(settings.alpha)}"
    if swapped:
        yield f"{counted(len(swapped), 'pair')} that the larger collection tells apart ({apart}) stand in the opposite order here."
    else:
        yield f"No pair that the larger collection tells apart ({apart}) stands in the opposite order here."
    if agreement.makers:
        others = [label for label in agreement.systems if label not in agreement.makers]
        less = f" {listed(others)} did not, and {are(others)} favoured against them." if others else ""
        yield f"{listed(agreement.makers)} made this pool.{less}"
    if agreement.unmatched:
        yield f"Not run with the same settings on the larger collection, so not in tau: {listed(agreement.unmatched)}."


def _tau(agreement: TierAgreement, settings: Settings) -> str:
    order = agreement.orders[0]
    found = order.agreement
    if found.tau is None:
        return f"Kendall's tau of {order.label} is not defined, all systems are equal on a side"
    level = level_in_words(settings.resampling.level)
    ends = f"{level} interval {found.interval[0]:.2f} to {found.interval[1]:.2f}, " if found.interval else ""
    return f"Kendall's tau of {order.label} is {found.tau:.2f} ({ends}{counted(found.systems, 'system')})"


def _taus(compared: TaskComparison, agreement: TierAgreement, suffix: str, settings: Settings) -> Table | None:
    if not agreement.orders:
        return None
    columns = (
        Column("Measure", kind="text"),
        Column("tau-b", title="1: the same order, -1: the opposite one"),
        Column("systems"),
        *(Column(name, "pairs of systems") for name in ("same order", "opposite", "equal on a side")),
        Column("told apart, yet opposite", "pairs of systems", title="told apart on the larger collection"),
    )
    rows = tuple(
        (
            Cell(heading(compared.task.measure(order.measure))),
            _tau_cell(order.agreement),
            *(_count(number) for number in (order.agreement.systems, order.agreement.same, order.agreement.opposite, order.agreement.tied)),
            _count(len(order.swaps)),
        )
        for order in agreement.orders
    )
    notes = (
        f"Kendall's tau-b of the order of {counted(len(agreement.systems), 'system')} that ran with the same settings on both collections: "
        f"{listed(agreement.systems)}.",
        f"Below it the {level_in_words(settings.resampling.level)} interval, from {settings.resampling.resamples:,} resamples of whole "
        "conversations, the same ones on both collections. Where systems are close, resamples disorder them on either side, so that the "
        "interval may lie below a tau of 1.",
    )
    return Table(f"{compared.task.id}-tiers{suffix}", f"Order of systems here and on {agreement.title}.", columns, rows, notes)


def _swaps(compared: TaskComparison, agreement: TierAgreement, suffix: str, settings: Settings) -> Table | None:
    rows = tuple(
        (
            Cell(heading(compared.task.measure(order.measure))),
            Cell(swap.better),
            Cell(swap.worse),
            difference_cell(swap.larger),
            p_cell(swap.p),
            difference_cell(swap.smaller),
        )
        for order in agreement.orders
        for swap in order.swaps
    )
    columns = (
        Column("Measure", kind="text"),
        Column("better there", kind="text"),
        Column("worse there", kind="text"),
        Column("difference", "larger collection"),
        Column("p (Holm)", "larger collection"),
        Column("difference here"),
    )
    alpha = level_in_words(settings.alpha)
    notes = (f"Told apart: sign flips of whole conversations, Holm over all pairs of the measure, {alpha}. Differences in points.",)
    caption = f"Pairs that {agreement.title} tells apart and this collection has in the opposite order."
    return Table(f"{compared.task.id}-swaps{suffix}", caption, columns, rows, notes) if rows else None


def _tau_cell(found: RankAgreement) -> Cell:
    if found.tau is None:
        return Cell(ABSENT, note="not defined: all systems are equal on a side")
    below = f"[{found.interval[0]:.2f}, {found.interval[1]:.2f}]" if found.interval else ""
    return Cell(f"{found.tau:.2f}", found.tau, below)


def _count(number: int) -> Cell:
    return Cell(f"{number:,}", number)
