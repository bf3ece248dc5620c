"""``compare``: from run folders to everything a comparison says."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import convbench
from convbench.comparison.consistency import consistency_of
from convbench.comparison.gather import tasks_of
from convbench.comparison.measured import measure_task
from convbench.comparison.model import Comparison, Settings, TaskComparison
from convbench.comparison.power import can_tell_apart, least_p, tested_conversations
from convbench.comparison.slice_tables import slice_tables
from convbench.comparison.task import Task
from convbench.comparison.tiers import tier_agreements
from convbench.errors import UsageError
from convbench.harness.finished import FinishedRun, load_run, run_folders
from convbench.registry import did_you_mean

log = logging.getLogger(__name__)


def compare(
    runs: str | Path | Sequence[FinishedRun | str | Path],
    *,
    baseline: str | None = None,
    measures: str | Sequence[str] | None = None,
    allow_different_collections: bool = False,
    settings: Settings | None = None,
) -> Comparison:
    """Compares finished runs, task by task (a dataset and split each).

    Args:
        runs: Run folders, folders with run folders below them, or runs that are loaded already.
        baseline: The system that all others are tested against, by label or name; None tests each against each.
        measures: Declared measures (``nDCG@3`` or ``protocol/nDCG@3``): only these are compared. None: the usual ones are declared.
        allow_different_collections: Whether runs on other passages are shown in tables apart instead of being refused.
        settings: Resampling, significance level and floors.

    Raises:
        UsageError: The runs do not compare (the difference is named), there are fewer than two, or the baseline is not among them.
        MissingFileError: A folder holds no finished run, or the dataset's files are gone.
    """
    chosen = settings or Settings()
    given = [runs] if isinstance(runs, str | Path) else runs
    finished = [run for one in given for run in ([one] if isinstance(one, FinishedRun) else map(load_run, run_folders(Path(one))))]
    declared = [measures] if isinstance(measures, str) else measures
    tasks = tasks_of(finished, measures=declared, allow_different_collections=allow_different_collections)
    if sum(len(task.entrants) for task in tasks) < 2:
        raise UsageError("a comparison needs two different runs or more; give their folders")
    baselines = [_baseline(task, baseline) if baseline is not None else None for task in tasks]  # all before any work
    compared = tuple(_compared(task, place, tasks, chosen) for task, place in zip(tasks, baselines, strict=True))
    return Comparison(compared, chosen, convbench.__version__)


def _compared(task: Task, place: int | None, tasks: Sequence[Task], settings: Settings) -> TaskComparison:
    log.info("%s: comparing %d runs", task.title, len(task.entrants))
    measured, family = measure_task(task, place, settings)
    slices, labels = slice_tables(task, task.pairs(place), settings)
    compared = TaskComparison(
        task=task,
        baseline=task.entrants[place].label if place is not None else None,
        family=family,
        measured=measured,
        slices=slices,
        labels=labels,
        consistency=consistency_of(task, settings),
        notes=(),
        tiers=tier_agreements(task, tasks, settings),
    )
    return replace(compared, notes=tuple(_notes(compared, settings)))


def _baseline(task: Task, name: str) -> int:
    """The entrant that is called so; its role does not matter, the user chose it."""
    labels = [entrant.label for entrant in task.entrants]
    if name in labels:
        return labels.index(name)
    named = [place for place, entrant in enumerate(task.entrants) if entrant.name == name]
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(f"{task.title}: --baseline {name!r} is the name of several runs: {', '.join(labels[place] for place in named)}")
    raise UsageError(f"{task.title}: no run is called {name!r}.{did_you_mean(name, labels)} Known: {', '.join(labels)}")


def _notes(compared: TaskComparison, settings: Settings) -> Iterator[str]:
    if compared.task.dataset.bundled:
        yield "This is a bundled mini set, for trying things out: its numbers say little about systems."
    if (pool := compared.task.entrants[0].run.results.dataset.pool) is not None:
        yield (
            f"This is a pool: the gold passages and the top {pool.depth} of {' and '.join(pool.systems)}, out of {pool.full_passages:,} "
            "passages. Systems that made it meet every passage that they rank first on the full collection, all others miss some of those "
            "that they would take for gold: their values are too high, and too high against the systems that made the pool."
        )
    if compared.family.tests and not can_tell_apart(compared, settings):
        yield (
            f"With {tested_conversations(compared)} conversations and {settings.resampling.resamples:,} flips no p is below "
            f"{least_p(compared, settings):.2g}; corrected for {compared.family.tests} declared tests, no difference can be significant "
            "here. Declare fewer measures or a baseline, or run more conversations."
        )
    if len(compared.task.competitors) < 2:
        yield "Fewer than two runs compete, so nothing is tested."
