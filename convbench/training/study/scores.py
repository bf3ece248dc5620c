"""The values of turns: for each measure, arm and condition a column a seed, from the run folders of finished cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.comparison.gather import tasks_of
from convbench.comparison.task import Task
from convbench.harness.finished import load_run
from convbench.harness.results import Results
from convbench.training.study.cell_file import CellFile
from convbench.training.study.consistency import DERIVED, depth_of, derived_values
from convbench.training.study.measures import StudyMeasure, measures_of
from convbench.training.study.plan import Cell, Study

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Shown(NamedTuple):
    """An arm under an evidence condition; an empty condition is the recipe's own."""

    arm: str
    evidence: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SetScores:
    """One test set.

    Attributes:
        name: The set's.
        clusters: The conversations of its turns.
        measures: Name -> measure.
        values: (measure's name, arm under a condition) -> seed -> values of turns, each of shape (turns,), NaN where a turn has none.
        results: What runs say of themselves, each once.
        hit_depth: k of "gold among the first k".
        response: Key of the response measure that "good" is about; empty where no run responds.
    """

    name: str
    clusters: Clusters
    measures: Mapping[str, StudyMeasure]
    values: Mapping[tuple[str, Shown], Mapping[int, NDArray[np.float64]]]
    results: tuple[Results, ...] = ()
    hit_depth: int = 0
    response: str = ""

    def of(self, measure: str, shown: Shown) -> Mapping[int, NDArray[np.float64]]:
        """Seed -> values of turns, of the seeds that have any."""
        found = self.values.get((measure, shown), {})
        return {seed: values for seed, values in found.items() if not np.isnan(values).all()}


def runs_of(cells: Mapping[Cell, CellFile], out: Path) -> dict[str, dict[tuple[Shown, int], Path]]:
    """Name of each test set -> the run folders of finished cells."""
    found: dict[str, dict[tuple[Shown, int], Path]] = {}
    for cell, held in cells.items():
        for evidence, runs in {"": held.runs, **held.evidence}.items():
            for name, place in runs.items():
                found.setdefault(name, {})[Shown(cell.arm, evidence), cell.seed] = cell.folder(out) / place
    return found


def read_scores_of(name: str, runs: Mapping[tuple[Shown, int], Path], study: Study, cache: Path) -> SetScores:
    """Reads the scores of a test set's runs.

    Args:
        name: The set's.
        runs: Their folders.
        study: Names the measures.
        cache: Folder of stores.

    Raises:
        UsageError: Runs differ in their turns, collection or signatures, or a measure is not among theirs.
        MissingFileError: A run is gone, or the dataset's files are.
    """
    (task,) = tasks_of([load_run(path, cache=cache) for path in runs.values()])
    place_of = {entrant.run.path: place for place, entrant in enumerate(task.entrants)}
    columns = {key: place_of[path] for key, path in runs.items() if path in place_of}
    measures = measures_of(study.all_measures, task)
    values: dict[tuple[str, Shown], dict[int, NDArray[np.float64]]] = {}
    for measure in measures:
        found = _values(task, measure, study)
        for (shown, seed), place in columns.items():
            values.setdefault((measure.name, shown), {})[seed] = found[:, place]
    results = tuple(entrant.run.results for entrant in task.entrants)
    named = {measure.name: measure for measure in measures}
    response = task.primary("response")
    return SetScores(
        name, task.clusters, named, values, results, depth_of(task, study.hit_depth), response.key if response is not None else ""
    )


def _values(task: Task, measure: StudyMeasure, study: Study) -> NDArray[np.float64]:
    """Shape (turns, runs)."""
    if measure.key in DERIVED:
        return derived_values(task, measure.key, depth=study.hit_depth, good=study.good)
    return task.values[measure.key]


def over_seeds(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The turns' means over seeds; NaN where a turn lacks a value in one of them. Shape (turns,)."""
    return np.asarray(np.mean(np.stack(columns, axis=1), axis=1))


def over_turns(values: NDArray[np.float64]) -> float | None:
    """The mean over the turns that have a value; None where none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
