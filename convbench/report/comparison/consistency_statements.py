"""Whether better retrieval became better responses, in sentences."""

from __future__ import annotations

from convbench.analysis.estimates import Estimate
from convbench.comparison.consistency_model import EvidenceLadder, Grid, HistoryLadder, Outcomes
from convbench.comparison.model import Settings, TaskComparison
from convbench.report.comparison.consistency_tables import direction_notes
from convbench.report.comparison.phrases import holds_zero, interval, sizes
from convbench.report.comparison.results_tables import heading
from convbench.report.comparison.standing import standing
from convbench.report.numbers import per_cent, points, probability


def consistency_statements(compared: TaskComparison, settings: Settings) -> list[str]:
    """Hits against misses of the system with the best retrieval, and what the ladders and grids of the runs say."""
    consistency = compared.consistency
    if consistency.response_measure is None:
        return []
    measure, level = heading(compared.task.measure(consistency.response_measure)), settings.resampling.level
    outcomes = _leader(compared)
    sentences = []
    if outcomes is not None:
        sentences.append(" ".join([*_gap(outcomes, measure, consistency.hit_depth, level), _shares(outcomes), *direction_notes(compared)]))
    return [*sentences, *condition_statements(compared, settings)]


def condition_statements(compared: TaskComparison, settings: Settings) -> list[str]:
    """What runs of one system under several conditions say: ladders and grids."""
    consistency, level = compared.consistency, settings.resampling.level
    if consistency.response_measure is None:
        return []
    measure = heading(compared.task.measure(consistency.response_measure))
    captured = [_captured(ladder, measure, level) for ladder in consistency.evidence if ladder.gain and ladder.gain.value is not None]
    exposed = [sentence for ladder in consistency.history if (sentence := _exposed(compared, ladder, level))]
    interacting = [_interaction(grid, measure, settings) for grid in consistency.grids if grid.interaction.value is not None]
    return [*captured, *exposed, *interacting]


def _leader(compared: TaskComparison) -> Outcomes | None:
    """The 2×2 of the competitor with the best retrieval."""
    competing = {entrant.label for entrant in compared.task.entrants if entrant.competes}
    outcomes = [one for one in compared.consistency.outcomes if one.label in competing and any(one.counts)]
    measured = next((one for one in compared.measured if one.measure.key == compared.consistency.retrieval_measure), None)
    if measured is None or not outcomes:
        return None
    order = [label for label, _ in standing(compared, measured)]
    return min(outcomes, key=lambda one: order.index(one.label))


def _gap(outcomes: Outcomes, measure: str, depth: int, level: float) -> list[str]:
    hit, miss, gap = outcomes.given_hit.value, outcomes.given_miss.value, outcomes.gap
    if hit is None or miss is None or gap.value is None:
        return []
    if gap.interval is None:
        verdict = ", from too few conversations for an interval"
    else:
        verdict = f" ({interval(gap.interval, level)}){', not told apart from 0' if holds_zero(gap) else ''}"
    return [
        f"Where {outcomes.label} has a gold passage among the first {depth}, its {measure} is {per_cent(hit)} %, elsewhere "
        f"{per_cent(miss)} %: a gap of {points(gap.value)} points{verdict}."
    ]


def _shares(outcomes: Outcomes) -> str:
    used, unused, lucky, honest = (per_cent(share.value or 0.0) for share in outcomes.shares)
    return (
        f"Of the turns of {outcomes.label}, {used} % are used hits (gold found, good response), {unused} % unused hits, {lucky} % lucky "
        f"misses, {honest} % honest misses."
    )


def _captured(ladder: EvidenceLadder, measure: str, level: float) -> str:
    gain = f"Gold passages add {_signed(ladder.gain, level)} to the {measure} of {ladder.name}"
    if ladder.capture is None or ladder.capture.value is None:
        return f"{gain}; what share of it retrieved passages bring is not given: {ladder.capture_reason or 'not every condition was run'}."
    return f"{gain}; retrieved passages bring {per_cent(ladder.capture.value)} % of it ({interval(ladder.capture.interval, level)})."


def _exposed(compared: TaskComparison, ladder: HistoryLadder, level: float) -> str:
    if ladder.exposure is None:
        return ""
    keys = (compared.consistency.retrieval_measure, compared.consistency.response_measure)
    parts = [
        f"{heading(compared.task.measure(key))} {_signed(gap, level)}{', not told apart from 0' if holds_zero(gap) else ''}"
        for key, gap in zip(keys, ladder.exposure, strict=True)
        if key is not None and gap is not None and gap.value is not None
    ]
    return f"{ladder.name} with the dataset's responses in its history against its own ones: {'; '.join(parts)}." if parts else ""


def _interaction(grid: Grid, measure: str, settings: Settings) -> str:
    p = f", p = {probability(grid.p)}, uncorrected" if grid.p is not None else ""
    value = grid.interaction.value or 0.0
    shown = f"({interval(grid.interaction.interval, settings.resampling.level)}{p})"
    if grid.p is None or grid.p > settings.alpha:
        return (
            f"Retriever and generator of {grid.own}, exchanged with {grid.other}: an interaction of {points(value)} points of {measure} "
            f"{shown}, not told apart from 0."
        )
    more = "more" if value > 0 else "less"
    return (
        f"Retriever and generator of {grid.own} do {sizes([value])} of {measure} {more} together than apart {shown}, against {grid.other}."
    )


def _signed(estimate: Estimate | None, level: float) -> str:
    if estimate is None or estimate.value is None:
        return "nothing known"
    return f"{points(estimate.value)} points ({interval(estimate.interval, level)})"
