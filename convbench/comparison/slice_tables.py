"""The slice tables of a task: every entrant on the turns of every label, and the pairs tested there.

Slices are exploratory: all tests of all slicings of a task are corrected together by Benjamini-Hochberg, apart from the declared family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from convbench.analysis.corrections import benjamini_hochberg
from convbench.analysis.estimates import Estimate, estimated_means
from convbench.analysis.paired import differences_of
from convbench.analysis.resampling import Resampling, sign_flip_p
from convbench.analysis.slices.base import SEPARATOR
from convbench.analysis.slices.labelling import Labelled, labelled_turns
from convbench.comparison.slice_model import SliceContrast, SliceRow, SliceTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convbench.comparison.model import Settings
    from convbench.comparison.task import Task, Yardstick

INTERVAL_RESAMPLES = 2000
"""Bootstrap samples of a slice's intervals, at most: there are thousands of them, and nothing is decided by them. Tests use all."""

_BYTES = 32 * 2**20
"""What one array of (resamples × columns) or (turns × columns) may take; a few of that size are held at a time."""

_Result = TypeVar("_Result")
_Labels = dict[str, tuple[str | None, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """The turns of one label."""

    slicing: Labelled
    value: str
    turns: NDArray[np.bool_]
    n_turns: int
    n_conversations: int
    small: bool


def slice_tables(task: Task, pairs: Sequence[tuple[int, int]], settings: Settings) -> tuple[tuple[SliceTable, ...], _Labels]:
    """One table for every slicing that tells turns of the task apart, and the labels of its turns.

    Shown are the declared measures that systems are tested by; where none is declared, the first such measure of each side. A test is
    left out where the slice, or the turns of it that both systems have a value on, are fewer than the floors.

    Args:
        task: The runs and their values.
        pairs: (first, second) places of entrants to be tested.
        settings: Resampling, level and floors. Intervals take at most ``INTERVAL_RESAMPLES`` resamples.

    Returns:
        The tables, and slicing -> the label of each turn of ``task.turns``, several joined by ``|``, None where it has none.

    Raises:
        UsageError: A slicing of another package is broken.
    """
    records = [entrant.records for entrant in task.entrants]
    telling = [slicing for slicing in labelled_turns(task.dataset.conversations, records) if len(slicing.values) > 1]
    labels = {slicing.name: tuple(_joined(slicing, turn.id) for turn in task.turns) for slicing in telling}
    measures = _shown(task)
    if not measures:
        return (), labels
    slices = [found for slicing in telling for found in _slices(slicing, task, settings)]
    rows = _rows(slices, task, measures, pairs, settings)
    return tuple(_table(slicing, slices, rows, measures, len(task.turns)) for slicing in telling), labels


def _joined(slicing: Labelled, turn_id: str) -> str | None:
    return SEPARATOR.join(slicing.labels[turn_id]) if turn_id in slicing.labels else None


def _shown(task: Task) -> list[Yardstick]:
    sides = dict.fromkeys(measure.side for measure in task.measures)
    return list(task.declared) or [measure for side in sides if (measure := task.primary(side)) is not None]


def _slices(slicing: Labelled, task: Task, settings: Settings) -> Iterator[_Slice]:
    for value in slicing.values:
        turns = np.array([value in slicing.labels.get(turn.id, ()) for turn in task.turns])
        n_turns, n_conversations = int(turns.sum()), len(np.unique(task.clusters.index[turns]))
        yield _Slice(slicing, value, turns, n_turns, n_conversations, _is_small(n_turns, n_conversations, settings))


def _is_small(n_turns: int, n_conversations: int, settings: Settings) -> bool:
    return n_turns < settings.floor_turns or n_conversations < settings.floor_conversations


def _rows(
    slices: Sequence[_Slice], task: Task, measures: Sequence[Yardstick], pairs: Sequence[tuple[int, int]], settings: Settings
) -> list[SliceRow]:
    """A row a slice: all values and differences first, then the tests, then their correction."""
    plan = replace(settings.resampling, resamples=min(settings.resampling.resamples, INTERVAL_RESAMPLES))
    differences = {measure.key: differences_of(task.values[measure.key], pairs) for measure in measures}

    def means(blocks: Iterable[NDArray[np.float64]]) -> Iterator[Estimate]:
        return iter(_in_chunks(lambda columns: estimated_means(columns, task.clusters, plan), blocks, plan))

    systems = means(_only(task.values[measure.key], found) for found in slices for measure in measures)
    contrasts = means(_only(differences[measure.key], found) for found in slices for measure in measures)
    rows = [_row(found, task, measures, pairs, systems, contrasts) for found in slices]
    return _tested(rows, slices, task, differences, settings)


def _only(values: NDArray[np.float64], found: _Slice) -> NDArray[np.float64]:
    """The values of a slice's turns, all others NaN."""
    return np.where(found.turns[:, None], values, np.nan)


def _row(
    found: _Slice,
    task: Task,
    measures: Sequence[Yardstick],
    pairs: Sequence[tuple[int, int]],
    systems: Iterator[Estimate],
    differences: Iterator[Estimate],
) -> SliceRow:
    labels = [entrant.label for entrant in task.entrants]
    return SliceRow(
        value=found.value,
        n_turns=found.n_turns,
        n_conversations=found.n_conversations,
        small=found.small,
        systems={measure.key: dict(zip(labels, islice(systems, len(labels)), strict=True)) for measure in measures},
        contrasts=tuple(
            SliceContrast(measure.key, labels[first], labels[second], next(differences), None, None, "")
            for measure in measures
            for first, second in pairs
        ),
    )


def _tested(
    rows: Sequence[SliceRow], slices: Sequence[_Slice], task: Task, differences: dict[str, NDArray[np.float64]], settings: Settings
) -> list[SliceRow]:
    """The rows with p-values, and with what is significant after one correction of them all."""
    n_pairs = next(iter(differences.values())).shape[1]  # contrasts are all pairs of a measure, measure by measure
    places = [
        (row, place)
        for row, content in enumerate(rows)
        for place, contrast in enumerate(content.contrasts)
        if contrast.difference.n_conversations > 1
        and not _is_small(contrast.difference.n_turns, contrast.difference.n_conversations, settings)
    ]
    columns = (_only(differences[rows[row].contrasts[place].measure][:, [place % n_pairs]], slices[row]) for row, place in places)
    p_values = _in_chunks(lambda chunk: sign_flip_p(chunk, task.clusters, settings.resampling).tolist(), columns, settings.resampling)
    contrasts = [list(row.contrasts) for row in rows]
    for (row, place), p, adjusted in zip(places, p_values, benjamini_hochberg(p_values).tolist(), strict=True):
        contrast = contrasts[row][place]
        measure, difference = task.measure(contrast.measure), contrast.difference.value
        better = measure.better(contrast.first, contrast.second, difference) if adjusted <= settings.alpha else ""
        contrasts[row][place] = replace(contrast, p=p, adjusted=adjusted, better=better)
    return [replace(row, contrasts=tuple(done)) for row, done in zip(rows, contrasts, strict=True)]


def _table(
    slicing: Labelled, slices: Sequence[_Slice], rows: Sequence[SliceRow], measures: Sequence[Yardstick], n_turns: int
) -> SliceTable:
    return SliceTable(
        name=slicing.name,
        title=slicing.title,
        description=slicing.description,
        measures=tuple(measure.key for measure in measures),
        rows=tuple(row for found, row in zip(slices, rows, strict=True) if found.slicing is slicing),
        unlabelled=n_turns - len(slicing.labels),
    )


def _in_chunks(
    compute: Callable[[NDArray[np.float64]], list[_Result]], blocks: Iterable[NDArray[np.float64]], plan: Resampling
) -> list[_Result]:
    """One result a column, computed for as many columns at a time as memory is set aside for; all see the same draws."""
    results: list[_Result] = []
    waiting: list[NDArray[np.float64]] = []
    width = 0
    for block in blocks:
        most = _BYTES // (8 * max(plan.resamples, len(block), 1))
        if waiting and width + block.shape[1] > most:
            results += compute(np.hstack(waiting))
            waiting, width = [], 0
        waiting.append(block)
        width += block.shape[1]
    if waiting:
        results += compute(np.hstack(waiting))
    return results
