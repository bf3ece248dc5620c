"""Results: a row an entrant, a column a measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convbench.analysis.estimates import Estimate
from convbench.comparison.model import Measured, Settings, SystemValue, TaskComparison
from convbench.comparison.task import Entrant, Role, Yardstick
from convbench.metrics.base import Side
from convbench.metrics.signatures import leaves_missing_out
from convbench.report.comparison.cells import estimate_cell
from convbench.report.comparison.table import Cell, Column, Table
from convbench.report.numbers import level_in_words, per_cent
from convbench.report.words import counted

SIDES: Mapping[Side, str] = {"ranking": "Retrieval", "response": "Response", "evidence": "Evidence"}
ROLES: Mapping[Role, str] = {"": "", "ceiling": "ceiling", "floor": "floor", "condition": "other evidence", "shortcut": "shortcut"}


def declared_results(compared: TaskComparison, settings: Settings) -> Table | None:
    """The declared measures; None where there is none."""
    caption = f"Results on {compared.task.title}: the declared measures, in per cent."
    measured = [measured for measured in compared.measured if measured.measure.declared]
    return _table(compared, measured, "results", caption, settings)


def other_results(compared: TaskComparison, settings: Settings) -> Table | None:
    """All other measures; None where there is none."""
    caption = f"Results on {compared.task.title}: all other measures, in per cent."
    measured = [measured for measured in compared.measured if not measured.measure.declared]
    return _table(compared, measured, "all-measures", caption, settings)


def system_cell(entrant: Entrant) -> Cell:
    """The name of a row; an entrant that does not compete is greyed, with its role below."""
    return Cell(entrant.label, below=ROLES[entrant.role], muted=not entrant.competes)


def heading(measure: Yardstick) -> str:
    """A measure's label, with an arrow down where lower is better."""
    return measure.label + ("" if measure.higher_is_better else " ↓")


def ranked(compared: TaskComparison) -> list[Entrant]:
    """Entrants in the order of rows: those that do not compete last."""
    return sorted(compared.task.entrants, key=lambda entrant: not entrant.competes)


def best_shown(compared: TaskComparison, measure: Yardstick, estimates: Mapping[str, Estimate]) -> str | None:
    """The best value as shown, so that values that look the same are marked the same.

    Args:
        compared: The task.
        measure: The measure.
        estimates: Label -> value.

    Returns:
        Of those that compete; None where it is that of all, or the measure does not rank.
    """
    competing = [estimates[entrant.label].value for entrant in compared.task.entrants if entrant.competes and entrant.label in estimates]
    shown = {per_cent(value) for value in competing if value is not None}
    if len(shown) < 2 or not measure.ranks:
        return None
    return (max if measure.higher_is_better else min)(shown, key=float)


def _table(compared: TaskComparison, measured: Sequence[Measured], kind: str, caption: str, settings: Settings) -> Table | None:
    if not measured:
        return None
    best = {one.measure.key: _best(compared, one) for one in measured}
    rows = tuple((system_cell(entrant), *(_cell(one, entrant, best) for one in measured)) for entrant in ranked(compared))
    columns = (Column("System", kind="text"), *map(_column, measured))
    return Table(f"{compared.task.id}-{kind}", caption, columns, rows, tuple(_notes(compared, measured, rows, settings)))


def _column(measured: Measured) -> Column:
    measure = measured.measure
    side = SIDES[measure.side]
    direction = "higher is better" if measure.higher_is_better else "lower is better"
    return Column(heading(measure), f"{side} ({measure.protocol})" if measure.protocol else side, title=f"{direction}; {measure.signature}")


def _cell(measured: Measured, entrant: Entrant, best: Mapping[str, str | None]) -> Cell:
    value = measured.systems[entrant.label]
    shown = None if value.estimate.value is None else per_cent(value.estimate.value)
    strong = entrant.competes and shown is not None and shown == best[measured.measure.key]
    return estimate_cell(value.estimate, note=_note(measured.measure, value), mark=value.group, strong=strong, muted=not entrant.competes)


def _note(measure: Yardstick, value: SystemValue) -> str:
    scored = value.n_missing and not leaves_missing_out(measure.signature)
    missing = [f"{value.n_missing:,} of {counted(value.estimate.n_turns, 'turn')} missing from the run"] if scored else []
    return "; ".join([*([value.reason] if value.reason else []), *missing])


def _best(compared: TaskComparison, measured: Measured) -> str | None:
    return best_shown(compared, measured.measure, {label: value.estimate for label, value in measured.systems.items()})


def _notes(compared: TaskComparison, measured: Sequence[Measured], rows: Sequence[Sequence[Cell]], settings: Settings) -> list[str]:
    level, resamples = level_in_words(settings.resampling.level), f"{settings.resampling.resamples:,}"
    notes = [f"With each value its {level} interval, from {resamples} resamples of whole conversations."]
    if any(cell.strong for row in rows for cell in row):
        notes.append("Bold: the best value of those that compete.")
    if any(cell.mark for row in rows for cell in row):
        notes.append(_letters(compared, measured, settings))
    if any(not entrant.competes for entrant in compared.task.entrants):
        notes.append(
            "A ceiling (gold passages and reference), a floor (chance), a shortcut (gold passages of earlier turns) and runs that were "
            "shown other evidence do not compete."
        )
    if corpus := [heading(one.measure) for one in measured if one.measure.aggregate == "corpus"]:
        notes.append(f"Computed over all turns at once, so not tested in pairs: {', '.join(corpus)}.")
    return [*notes, *_detectable(measured), *_correlations(measured), *_turn_sets(measured)]


def _detectable(measured: Sequence[Measured]) -> list[str]:
    """What a difference must be to be found, over all pairs of a measure."""
    found = [(one, [contrast.result.detectable for contrast in one.contrasts if contrast.result.detectable]) for one in measured]
    shown = [f"{heading(one.measure)} {_range([per_cent(value) for value in values])}" for one, values in found if values]
    return [f"Minimum detectable difference of a pair, in points (power of 80 %, before correction): {', '.join(shown)}."] if shown else []


def _correlations(measured: Sequence[Measured]) -> list[str]:
    """How alike the turns of one conversation are, over all that compete."""
    found = [
        (one, [value.correlation for value in one.systems.values() if value.group and value.correlation is not None]) for one in measured
    ]
    shown = [f"{heading(one.measure)} {_range([f'{value:.2f}' for value in values])}" for one, values in found if values]
    return [f"Intra-conversation correlation of the turns' values: {', '.join(shown)}."] if shown else []


def _range(texts: Sequence[str]) -> str:
    low, high = min(texts, key=float), max(texts, key=float)
    return low if low == high else f"{low} to {high}"


def _letters(compared: TaskComparison, measured: Sequence[Measured], settings: Settings) -> str:
    alpha = level_in_words(settings.alpha)
    together = (
        "corrected over all pairs and these measures" if measured[0].measure.declared else "corrected over all pairs, each measure apart"
    )
    baseline = "" if compared.baseline is None else f" Tests against {compared.baseline} alone are corrected apart."
    return (
        f"Raised letters: within a column, systems that share a letter are not told apart at {alpha} "
        f"(sign flips of whole conversations, Holm, {together}).{baseline}"
    )


def _turn_sets(measured: Sequence[Measured]) -> list[str]:
    """Which turns the columns average over; measures are named where they do not all agree."""
    holders: dict[str, list[str]] = {}
    for one in measured:
        valued = [value.estimate for value in one.systems.values() if value.estimate.value is not None]
        if valued:
            largest = max(valued, key=lambda estimate: estimate.n_turns)
            turns = (
                f"{counted(largest.n_turns, 'turn')} of {counted(largest.n_conversations, 'conversation')} (rule: {one.measure.turn_set})"
            )
            holders.setdefault(turns, []).append(heading(one.measure))
    if len(holders) == 1:
        return [f"Average over {turns}." for turns in holders]
    return [f"Average over {turns}: {', '.join(names)}." for turns, names in holders.items()]
