"""What a comparison says, in sentences made from its numbers. Every number in them stands in a table or under one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convbench.analysis.tie_groups import share_a_letter
from convbench.comparison.model import Comparison, Contrast, Measured, Settings, TaskComparison
from convbench.comparison.power import can_tell_apart, tested_conversations, told_apart, too_few_of
from convbench.report.comparison.consistency_statements import condition_statements
from convbench.report.comparison.phrases import are, either, interval, listed, sizes
from convbench.report.comparison.results_tables import heading
from convbench.report.comparison.standing import as_good, leading_measure, standing
from convbench.report.comparison.tier_tables import tier_summary
from convbench.report.numbers import per_cent, points, probability
from convbench.report.words import counted


def title_of(comparison: Comparison) -> str:
    """What the report is called."""
    labels = {entrant.label for compared in comparison.tasks for entrant in compared.task.entrants}
    where = comparison.tasks[0].task.title if len(comparison.tasks) == 1 else counted(len(comparison.tasks), "task")
    return f"{counted(len(labels), 'system')} on {where}"


def summary_of(comparison: Comparison) -> tuple[str, ...]:
    """The whole comparison in a few sentences: a headline a task, whether tiers agree, whether one system leads on both sides."""
    said = [f"{compared.task.title}: {sentence}" for compared in comparison.tasks for sentence in _of_task(compared, comparison.settings)]
    return (*said, *tier_summary(comparison), *_leading_both(comparison), *_too_few(comparison), *_for_trying(comparison))


def _of_task(compared: TaskComparison, settings: Settings) -> list[str]:
    """Who leads, and what runs under several conditions say; where neither says anything, why not."""
    headline = _headline(compared)
    found = [*([headline] if headline else []), *condition_statements(compared, settings)]
    return found or ["nothing to rank: no two competing systems have a measure in common that systems may be ordered by."]


def _leading_both(comparison: Comparison) -> list[str]:
    leaders = {compared.task.id: _leaders(compared) for compared in comparison.tasks}
    both = [id_ for id_, found in leaders.items() if found and len(set(found)) == 1]
    apart = [id_ for id_, found in leaders.items() if len(set(found)) > 1]
    if len(both) + len(apart) < 2:
        return []
    parts = [*([f"in responses too on {listed(both)}"] if both else []), *([f"in retrieval only on {listed(apart)}"] if apart else [])]
    return [f"The system that leads in retrieval leads {', '.join(parts)}."]


def _too_few(comparison: Comparison) -> list[str]:
    tested = [compared for compared in comparison.tasks if tested_conversations(compared)]
    hopeless = [compared for compared in tested if not can_tell_apart(compared, comparison.settings)]
    if not hopeless:
        return []
    where = "anywhere" if len(hopeless) == len(tested) > 1 else f"on {listed([compared.task.id for compared in hopeless])}"
    what = listed(sorted({too_few_of(compared, comparison.settings) for compared in hopeless}))
    return [f"No difference can be significant {where}: there are too few {what} for the number of declared tests."]


def _for_trying(comparison: Comparison) -> list[str]:
    mini = [compared.task.id for compared in comparison.tasks if compared.task.dataset.bundled]
    which = "All tasks are bundled mini sets" if len(mini) == len(comparison.tasks) else f"Bundled mini sets: {listed(mini)}"
    return [f"{which}, for trying things out: their numbers say little about systems."] if mini else []


def result_statements(compared: TaskComparison, settings: Settings) -> list[str]:
    """Who is better in retrieval and in responses, and how sure that is: a sentence or two each."""
    leading = [measured for side in ("ranking", "response") if (measured := leading_measure(compared, side)) is not None]
    return [sentence for measured in leading if (sentence := _compared(compared, measured, settings))]


def difference_statements(compared: TaskComparison) -> list[str]:
    """How many of the declared tests tell systems apart; nothing where none is declared."""
    family = compared.family
    if not family.tests:
        return []
    measures, pairs = counted(len(family.measures), "measure"), counted(len(family.pairs), "pair")
    tests = f"the {counted(family.tests, 'declared test')} ({measures} × {pairs})"
    apart = told_apart(compared)
    return [f"{apart or 'None'} of {tests} {'tell' if apart > 1 else 'tells'} two systems apart after Holm's correction."]


def _leaders(compared: TaskComparison) -> tuple[str, ...]:
    """Who is first in retrieval and who in responses; empty where either is not measured or has no single first."""
    orders = [standing(compared, measured) for side in ("ranking", "response") if (measured := leading_measure(compared, side)) is not None]
    clear = len(orders) == 2 and all(len(order) > 1 and not as_good(order) for order in orders)
    return tuple(order[0][0] for order in orders) if clear else ()


def _headline(compared: TaskComparison) -> str:
    """Who has the best values; one clause where it is the same system, as surely, in retrieval and in responses."""
    found: dict[tuple[str, str], list[str]] = {}
    for side in ("ranking", "response"):
        measured = leading_measure(compared, side)
        order = standing(compared, measured) if measured else []
        if measured is None or len(order) < 2:
            continue
        label, value = order[0]
        apart = _apart(compared, measured, [label for label, _ in order])
        found.setdefault((label, apart), []).append(
            f"{_best_word(measured)} {heading(measured.measure)} ({per_cent(value)} %{_as_have(as_good(order))})"
        )
    parts = [f"{label} has the {' and the '.join(bests)}, {apart}" for (label, apart), bests in found.items()]
    return "; ".join(parts) + "." if parts else ""


def _apart(compared: TaskComparison, measured: Measured, order: Sequence[str]) -> str:
    """Whom the first of the order is told apart from: the baseline, or where there is none, by the tie groups, all others."""
    first, *rest = order
    if compared.baseline is not None:
        if first == compared.baseline:
            return "the baseline"
        better = any(contrast.first == first == contrast.better for contrast in measured.contrasts)
        return f"{'told apart' if better else 'not told apart'} from the baseline {compared.baseline}"
    sharing = [other for other in rest if share_a_letter(measured.systems[other].group, measured.systems[first].group)]
    if not sharing:
        return "told apart from every other system"
    return f"not told apart from {'any other system' if len(sharing) == len(rest) else listed(sharing)}"


def _as_have(names: Sequence[str]) -> str:
    """Those that have the very same value, which the order of rows alone put after the first."""
    return f", as {'has' if len(names) == 1 else 'have'} {listed(names)}" if names else ""


def _best_word(measured: Measured) -> str:
    return "highest" if measured.measure.higher_is_better else "lowest"


def _compared(compared: TaskComparison, measured: Measured, settings: Settings) -> str:
    if not measured.contrasts:
        return ""
    return (
        _against_baseline(compared, measured, settings) if compared.baseline is not None else _each_with_each(compared, measured, settings)
    )


def _each_with_each(compared: TaskComparison, measured: Measured, settings: Settings) -> str:
    """The best system, whom it beats, and how sure its lead over the next one is."""
    order = standing(compared, measured)
    if len(order) < 2:
        return ""
    (label, value), (following, _) = order[:2]
    own = {_other(contrast, label): contrast for contrast in measured.contrasts if label in (contrast.first, contrast.second)}
    beaten = [other for other, _ in order[1:] if own[other].better == label]
    others = [other for other, _ in order[1:] if other not in beaten]
    first = f"{label} has the {_best_word(measured)} {heading(measured.measure)}, {per_cent(value)} %{_as_have(as_good(order))}"
    by = sizes(own[other].result.mean or 0.0 for other in beaten)
    if not others:
        return f"{first}: better than every other system, by {by}."
    if not beaten:
        verdict = f"{first}, not told apart from any other system."
    else:
        verdict = f"{first}: better than {either(beaten, others)} (by {by}), not told apart from {either(others, beaten)}."
    return f"{verdict} {_lead(own[following], following, compared, settings)}" if following in others else verdict


def _lead(contrast: Contrast, following: str, compared: TaskComparison, settings: Settings) -> str:
    """How sure the difference from the next system is, and what would have been found."""
    result, level = contrast.result, settings.resampling.level
    if result.mean is None:
        return ""
    if not result.wins and not result.losses:
        return f"It and {following} have the same value on every turn."
    sign = 1 if contrast.second == following else -1
    ends = result.interval and sorted((sign * result.interval[0], sign * result.interval[1]))
    shown = interval((ends[0], ends[1]) if ends else None, level)
    difference = f"Its difference from {following}, the next, is {points(sign * result.mean)} points ({shown})"
    if not can_tell_apart(compared, settings):
        return f"{difference}; {_impossible(compared, settings)}."
    return f"{difference}. {_power([contrast], lambda _: 'the two', settings)}".rstrip()


def _impossible(compared: TaskComparison, settings: Settings) -> str:
    return f"with so few {too_few_of(compared, settings)} no difference can be significant after correction"


def _power(contrasts: Sequence[Contrast], who: Callable[[Contrast], str], settings: Settings) -> str:
    """Of pairs that are not told apart: which ones only the correction kept, and what difference would have been found in the others."""
    kept = [contrast for contrast in contrasts if contrast.result.p is not None and contrast.result.p <= settings.alpha]
    found = [contrast.result.detectable for contrast in contrasts if contrast not in kept and contrast.result.detectable]
    sentences = []
    if kept:
        before = listed([probability(contrast.result.p or 0.0) for contrast in kept])
        after = listed([probability(contrast.adjusted or 0.0) for contrast in kept])
        names = listed([who(contrast) for contrast in kept])
        sentences.append(f"Before correction {names} would have been told apart (p = {before}; after Holm's correction {after}).")
    if found:
        most, where = per_cent(max(found)), " of the others" if kept else ""
        sentences.append(f"A true difference{where} of {most} points or more would have been found with 80 % power, before correction.")
    return " ".join(sentences)


def _against_baseline(compared: TaskComparison, measured: Measured, settings: Settings) -> str:
    """Who is better than the baseline, who is worse, who is not told apart from it."""
    better = [contrast for contrast in measured.contrasts if contrast.better == contrast.first]
    worse = [contrast for contrast in measured.contrasts if contrast.better == contrast.second]
    rest = [contrast for contrast in measured.contrasts if not contrast.better and contrast.result.mean is not None]
    parts = [
        f"{listed(names)} {are(names)} {word} (by {sizes(contrast.result.mean or 0.0 for contrast in found)})"
        for word, found in (("better", better), ("worse", worse))
        if (names := [contrast.first for contrast in found])
    ]
    if rest:
        names = [contrast.first for contrast in rest]
        parts.append(f"{listed(names)} {are(names)} not told apart from it ({sizes(contrast.result.mean or 0.0 for contrast in rest)})")
    if not parts:
        return ""
    verdict = f"Against the baseline {compared.baseline}, by {heading(measured.measure)}: {'; '.join(parts)}."
    if not rest:
        return verdict
    if not can_tell_apart(compared, settings):
        return f"{verdict} That says little: {_impossible(compared, settings)}."
    return f"{verdict} {_power(rest, lambda contrast: contrast.first, settings)}".rstrip()


def _other(contrast: Contrast, label: str) -> str:
    return contrast.second if contrast.first == label else contrast.first
