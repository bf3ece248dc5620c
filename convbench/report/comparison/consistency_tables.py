"""Retrieval and responses together: the 2×2, quality by rank of the gold, support by passages, self-agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from convbench.analysis.estimates import Estimate
from convbench.analysis.outcomes import OUTCOMES
from convbench.comparison.consistency_model import Support
from convbench.comparison.model import Measured, TaskComparison
from convbench.report.comparison.cells import difference_cell, estimate_cell, number_cell
from convbench.report.comparison.difference_tables import same_direction
from convbench.report.comparison.results_tables import heading, ranked, system_cell
from convbench.report.comparison.table import Cell, Column, Table
from convbench.report.numbers import per_cent
from convbench.report.words import ABSENT


class _OfEntrant(Protocol):
    """A part of the consistency analysis that belongs to one entrant."""

    @property
    def label(self) -> str:
        """The entrant."""


_Part = TypeVar("_Part", bound=_OfEntrant)


def outcome_table(compared: TaskComparison) -> Table | None:
    """The 2×2 of each entrant, its response quality with and without the gold passage, and the joint score."""
    consistency = compared.consistency
    if not consistency.outcomes or consistency.response_measure is None:
        return None
    measure = heading(compared.task.measure(consistency.response_measure))
    depth = consistency.hit_depth
    joint = {one.label: one.value for one in consistency.joint}
    columns = (
        Column("System", kind="text"),
        Column("turns"),
        *(Column(name, "share of turns") for name in OUTCOMES),
        Column("gold found", measure, title=f"mean where a gold passage is among the first {depth}"),
        Column("gold missed", measure, title="mean elsewhere"),
        Column("gap", measure, title="found minus missed, in points"),
        *([Column("joint", measure, title=f"mean of the value × [gold passage among the first {depth}], as in KILT")] if joint else []),
    )
    rows = [
        (
            name,
            Cell(f"{sum(one.counts):,}", sum(one.counts)),
            *map(estimate_cell, (*one.shares, one.given_hit, one.given_miss)),
            difference_cell(one.gap),
            *([estimate_cell(joint.get(one.label))] if joint else []),
        )
        for name, one in _rows(compared, consistency.outcomes)
    ]
    notes = [
        f"Hit: a gold passage is among the first {depth}. Good (used, lucky): {measure} of {per_cent(consistency.good)} % or more.",
        "The gap is an association: turns whose gold passage is found may be easier to answer, too.",
        *direction_notes(compared),
    ]
    return Table(
        f"{compared.task.id}-outcomes", _caption(compared, "Retrieval against response quality"), columns, tuple(rows), tuple(notes)
    )


def direction_notes(compared: TaskComparison) -> list[str]:
    """One sentence: in how many pairs the better retrieval has the better responses; none without pairs."""
    found = {measured.measure.key: measured for measured in compared.measured}
    retrieval, response = (found.get(key or "") for key in (compared.consistency.retrieval_measure, compared.consistency.response_measure))
    if retrieval is None or response is None:
        return []
    same, both = same_direction(retrieval, response)
    return [_direction_note(retrieval, response, same, both)] if both else []


def rank_table(compared: TaskComparison) -> Table | None:
    """Response quality by rank of the best gold passage."""
    consistency = compared.consistency
    buckets = list(dict.fromkeys(name for one in consistency.by_rank for name, _ in one.buckets))
    if not buckets or consistency.response_measure is None:
        return None
    measure = heading(compared.task.measure(consistency.response_measure))
    rows = []
    for name, one in _rows(compared, consistency.by_rank):
        estimates = dict(one.buckets)
        rows.append((name, *(_with_turns(estimates.get(bucket)) for bucket in buckets)))
    columns = (Column("System", kind="text"), *(Column(bucket, "rank of the best gold passage") for bucket in buckets))
    caption = _caption(compared, f"{measure} by rank of the gold passage")
    return Table(f"{compared.task.id}-by-rank", caption, columns, tuple(rows), ("n: turns.",))


def support_table(compared: TaskComparison) -> Table | None:
    """How much of a response stands in the passages given, the gold ones, and the history."""
    supports = compared.consistency.support
    keys = list(dict.fromkeys(key for one in supports for key in one.values))
    if not keys:
        return None
    sources = list(dict.fromkeys(source for source, _ in keys))
    keys.sort(key=lambda key: sources.index(key[0]))
    columns = (Column("System", kind="text"), *(Column(measure, f"{source} text") for source, measure in keys))
    rows = tuple((name, *(_supported(one, key) for key in keys)) for name, one in _rows(compared, supports))
    notes = (
        "K-precision: share of the response's tokens that stand in the text of the heading. K-recall: share of that text's tokens in the "
        "response.",
    )
    return Table(f"{compared.task.id}-support", _caption(compared, "Responses against passages and history"), columns, rows, notes)


def agreement_table(compared: TaskComparison) -> Table | None:
    """Whether a unified model's two sides agree on the passages."""
    rows = tuple(
        (
            name,
            number_cell(one.k, 0),
            Cell(f"{one.response} response"),
            _correlation(one.rank_correlation),
            estimate_cell(one.top1),
        )
        for name, one in _rows(compared, compared.consistency.agreement)
    )
    columns = (
        Column("System", kind="text"),
        Column("passages"),
        Column("likelihood of", kind="text"),
        Column("rank correlation", title="mean Spearman correlation over turns"),
        Column("same first", title="share of turns on which both put the same passage first, in per cent"),
    )
    notes = ("The embedding's order of the first passages against the likelihood of the response given each of them, by the same model.",)
    return Table(f"{compared.task.id}-agreement", _caption(compared, "Self-agreement", unit=""), columns, rows, notes) if rows else None


def example_table(compared: TaskComparison) -> Table | None:
    """Turns to look at, for each of the four outcomes."""
    outcomes = [one for one in compared.consistency.outcomes if any(one.examples)]
    rows = tuple((name, *(Cell(", ".join(ids) or ABSENT) for ids in one.examples)) for name, one in _rows(compared, outcomes))
    columns = (Column("System", kind="text"), *(Column(name, kind="text") for name in OUTCOMES))
    return (
        Table(f"{compared.task.id}-examples", _caption(compared, "Turns to look at, the clearest first", unit=""), columns, rows)
        if rows
        else None
    )


def _rows(compared: TaskComparison, parts: Sequence[_Part]) -> list[tuple[Cell, _Part]]:
    """The name cell of each part, in the order of entrants; those that do not compete last and grey."""
    known = {one.label: one for one in parts}
    return [(system_cell(entrant), known[entrant.label]) for entrant in ranked(compared) if entrant.label in known]


def _with_turns(estimate: Estimate | None) -> Cell:
    if estimate is None or not estimate.n_turns:
        return Cell(ABSENT)
    cell = estimate_cell(estimate)
    return replace(cell, below=f"{cell.below} n={estimate.n_turns}".strip())


def _supported(support: Support, key: tuple[str, str]) -> Cell:
    estimate = support.values.get(key)
    return estimate_cell(estimate, note=support.reasons.get(key[0], "") if estimate is None or estimate.value is None else "")


def _correlation(estimate: Estimate) -> Cell:
    ends = estimate.interval
    below = f"[{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""
    cell = number_cell(estimate.value)
    return Cell(cell.text, cell.value, below)


def _caption(compared: TaskComparison, what: str, unit: str = ", in per cent") -> str:
    return f"{what} on {compared.task.title}{unit}."


def _direction_note(retrieval: Measured, response: Measured, same: int, both: int) -> str:
    names = f"{heading(retrieval.measure)} and {heading(response.measure)}"
    if both == 1:
        return f"The system with the better retrieval has the {'better' if same else 'worse'} responses, significant or not ({names})."
    return (
        f"The system with the better retrieval has the better responses in {same} of {both} pairs, significant or not ({names}); "
        "pairs share systems, so this is no test."
    )
