"""Every entrant under every measure, every pair tested, and tests corrected as they were declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.corrections import holm
from convbench.analysis.correlation import intraclass_correlation
from convbench.analysis.estimates import Estimate, estimated_means
from convbench.analysis.paired import PairedDifference, differences_of, paired_differences
from convbench.analysis.tie_groups import tie_groups
from convbench.comparison.model import Contrast, Family, Measured, Settings, SystemValue
from convbench.comparison.task import Entrant, Task, Yardstick
from convbench.harness.results import MetricResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLUMNS = 300
"""Comparisons resampled together; their samples take 24 MB with 10,000 resamples."""

Pair = tuple[int, int]
Tested = Mapping[tuple[str, Pair], PairedDifference]
"""(measure key, pair of entrants) -> the comparison, for every pair of competitors."""


def measure_task(task: Task, baseline: int | None, settings: Settings) -> tuple[tuple[Measured, ...], Family]:
    """All measures of a task.

    Args:
        task: The task.
        baseline: Place of the baseline among the entrants; None compares each with each.
        settings: Resampling and significance level.
    """
    pairs = task.pairs(baseline)
    tested = _tested(task, {*task.pairs(), *pairs}, settings)
    family = [(measure.key, pair) for measure in task.declared for pair in pairs if tested[measure.key, pair].p is not None]
    adjusted = dict(zip(family, holm([_p_of(tested[test]) for test in family]), strict=True))
    groups = _groups(task, tested, settings)
    estimates = _estimates(task, settings)
    measured = tuple(
        Measured(
            measure,
            {
                entrant.label: _system_value(task, measure, place, estimates[measure.key][place], groups.get((measure.key, place), ""))
                for place, entrant in enumerate(task.entrants)
            },
            tuple(_contrast(task, measure, pair, tested, adjusted, settings) for pair in pairs) if measure.tested else (),
        )
        for measure in task.measures
    )
    labels = [entrant.label for entrant in task.entrants]
    names = tuple(measure.label for measure in task.declared)
    return measured, Family(names, tuple((labels[first], labels[second]) for first, second in pairs), len(family))


def _tested(task: Task, pairs: set[Pair], settings: Settings) -> Tested:
    tests = [(measure.key, pair) for measure in task.measures if measure.tested for pair in sorted(pairs)]
    found: dict[tuple[str, Pair], PairedDifference] = {}
    for start in range(0, len(tests), _COLUMNS):
        block = tests[start : start + _COLUMNS]
        columns = np.concatenate([differences_of(task.values[key], [pair]) for key, pair in block], axis=1)
        found |= dict(zip(block, paired_differences(columns, task.clusters, settings.resampling), strict=True))
    return found


def _p_of(tested: PairedDifference) -> float:
    return 1.0 if tested.p is None else tested.p


def _groups(task: Task, tested: Tested, settings: Settings) -> dict[tuple[str, int], str]:
    """(measure key, entrant) -> letters. Declared measures are corrected together over all pairs, every other measure by itself."""
    others = [(measure,) for measure in task.measures if measure.tested and not measure.declared]
    pairs = task.pairs()
    letters: dict[tuple[str, int], str] = {}
    for measures in [task.declared, *others]:
        tests = [(measure.key, pair) for measure in measures for pair in pairs]
        adjusted = dict(zip(tests, holm([_p_of(tested[test]) for test in tests]), strict=True))
        for measure in measures:
            separated = {pair for pair in pairs if adjusted[measure.key, pair] <= settings.alpha}
            order = _order(task, measure)
            letters |= {(measure.key, place): text for place, text in tie_groups(order, separated).items()}
    return letters


def _order(task: Task, measure: Yardstick) -> list[int]:
    """Competitors that have values, best first."""
    values = task.values[measure.key]
    means = {place: float(np.nanmean(values[:, place])) for place in task.competitors if not np.isnan(values[:, place]).all()}
    return sorted(means, key=lambda place: (-means[place] if measure.higher_is_better else means[place], place))


def _estimates(task: Task, settings: Settings) -> dict[str, list[Estimate]]:
    """Measure key -> an estimate an entrant; measures over the whole corpus keep the value and interval of ``results.json``."""
    if not task.measures:
        return {}
    columns: NDArray[np.float64] = np.concatenate([task.values[measure.key] for measure in task.measures], axis=1)
    size = len(task.entrants)
    found = estimated_means(columns, task.clusters, settings.resampling)
    means = {measure.key: found[place * size : (place + 1) * size] for place, measure in enumerate(task.measures)}
    return means | {
        measure.key: [_as_stored(task, measure, place) for place in range(size)]
        for measure in task.measures
        if measure.aggregate == "corpus"
    }


def _as_stored(task: Task, measure: Yardstick, place: int) -> Estimate:
    result = _result(task.entrants[place], measure)
    return Estimate(result.value, result.ci, result.n_turns, result.n_conversations) if result else Estimate(None, None, 0, 0)


def _result(entrant: Entrant, measure: Yardstick) -> MetricResult | None:
    return next((result for result in entrant.run.results.metrics if result.key == measure.key), None)


def _why_absent(entrant: Entrant, measure: Yardstick) -> str:
    """What a run says of the measure's family; F1-max does not say its family (token-f1), so what all of that side say holds for it."""
    absent = [result for result in entrant.run.results.metrics if not result.signature and result.protocol == measure.protocol]
    own = [result.reason for result in absent if result.stands_for(measure.protocol, measure.name)]
    beside = list(dict.fromkeys(result.reason for result in absent if result.side == measure.side))
    return next((reason for reason in [*own, *(beside if len(beside) == 1 else [])] if reason), "not scored in this run")


def _system_value(task: Task, measure: Yardstick, place: int, estimate: Estimate, group: str) -> SystemValue:
    entrant = task.entrants[place]
    result = _result(entrant, measure)
    if result is None:
        return SystemValue(estimate, 0, None, "", _why_absent(entrant, measure))
    values = task.values[measure.key][:, place]
    known = ~np.isnan(values)
    correlation = intraclass_correlation(values[known], task.clusters.index[known]) if measure.aggregate == "mean" and known.any() else None
    return SystemValue(estimate, result.n_missing, correlation, group, result.reason)


def _contrast(
    task: Task, measure: Yardstick, pair: Pair, tested: Tested, adjusted: Mapping[tuple[str, Pair], float], settings: Settings
) -> Contrast:
    first, second = (task.entrants[place].label for place in pair)
    result, p = tested[measure.key, pair], adjusted.get((measure.key, pair))
    better = measure.better(first, second, result.mean) if p is not None and p <= settings.alpha else ""
    return Contrast(first, second, result, None if p is None else float(p), better)
