"""From finished runs to tasks: what may stand in one table, and what is refused because it does not compare."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from convbench.comparison.entrants import entrants_of
from convbench.comparison.task import Entrant, Task, Yardstick
from convbench.errors import UsageError
from convbench.harness.finished import FinishedRun
from convbench.harness.results import MetricResult
from convbench.metrics.signatures import differences
from convbench.registry import did_you_mean

log = logging.getLogger(__name__)

Key = TypeVar("Key")

DECLARED = ("nDCG@3", "RR@100", "R@10", "F1-max", "rougeL", "bertscore-f1")
"""The measures that are declared, as far as runs have them, where the user declares none."""

_GENERAL = ("convgqr-line", "response-overlap", "")
"""Protocols whose measures are declared by default."""


def tasks_of(
    runs: Sequence[FinishedRun], *, measures: Sequence[str] | None = None, allow_different_collections: bool = False
) -> list[Task]:
    """Sorts runs into tasks, one a dataset and split, in the order of first appearance.

    Args:
        runs: Finished runs.
        measures: Declared measures (``nDCG@3`` or ``protocol/nDCG@3``); then only these are compared. None: the usual ones are declared,
            and all others are shown.
        allow_different_collections: Whether runs on other passages get a task of their own, instead of being refused.

    Raises:
        UsageError: Runs on one dataset and split differ in their turns, reading options, collection or signatures; or a measure is unknown.
    """
    _refuse_twice(runs)
    distinct = _distinct(runs)
    tasks = []
    for (name, split), members in _grouped(distinct, lambda run: (run.results.dataset.name, run.results.dataset.split)).items():
        _refuse_different(members, "reading options", lambda run: str(dict(sorted(run.results.dataset.options.items()))))
        _refuse_different(members, "turns", _turns)
        if not allow_different_collections:
            advice = "score them on one collection, or add --allow-different-collections to see them in tables apart"
            _refuse_different(members, "collections", _collection, advice)
        by_collection = _grouped(members, _collection)
        for collection, same in by_collection.items():
            several = len(by_collection) > 1
            suffix = f"-{_short(same[0])}" if several else ""
            pooled = ", a pool" if same[0].results.dataset.pool is not None else ""
            title = f"{name}, split {split}" + (f", {collection}" if several else pooled)
            tasks.append(_task(f"{name}-{split}{suffix}", title, same, measures))
    _refuse_unknown(measures or (), tasks)
    return tasks


def _task(id_: str, title: str, runs: Sequence[FinishedRun], measures: Sequence[str] | None) -> Task:
    entrants = entrants_of(runs)
    yardsticks = _yardsticks(entrants, measures)
    turn_ids = [turn.id for turn in entrants[0].run.dataset.turns]
    values = {
        yardstick.key: np.stack([entrant.run.values(yardstick.protocol, yardstick.name, turn_ids) for entrant in entrants], axis=1)
        for yardstick in yardsticks
    }
    return Task(id_, title, entrants, tuple(yardsticks), values)


def _yardsticks(entrants: Sequence[Entrant], measures: Sequence[str] | None) -> list[Yardstick]:
    """Every measure that some run has, under one signature each; retrieval first."""
    found: dict[tuple[str, str], list[tuple[Entrant, MetricResult]]] = {}
    for entrant in entrants:
        for result in entrant.run.results.metrics:
            if result.signature and (measures is None or result.name in measures or result.key in measures):
                found.setdefault((result.protocol, result.name), []).append((entrant, result))
    _refuse_signatures(found.values())
    names = [name for _, name in found]
    yardsticks = [
        Yardstick(
            protocol=protocol,
            name=name,
            label=name if protocol in _GENERAL or (names.count(name) == 1 and name not in DECLARED) else f"{name} ({protocol})",
            signature=holders[0][1].signature,
            side=holders[0][1].side,
            higher_is_better=holders[0][1].higher_is_better,
            ranks=holders[0][1].ranks,
            aggregate=holders[0][1].aggregate,
            scale=holders[0][1].scale,
            declared=measures is not None or (name in DECLARED and protocol in _GENERAL),
            turn_set=holders[0][1].turn_set,
        )
        for (protocol, name), holders in found.items()
    ]
    return sorted(yardsticks, key=lambda one: (one.side != "ranking", not one.declared, _place(one, measures or DECLARED)))


def _place(yardstick: Yardstick, declared: Sequence[str]) -> int:
    """Declared measures stand in the order of their declaration, all others stay in that of the runs."""
    named = [place for place, name in enumerate(declared) if name in (yardstick.name, yardstick.key)]
    return named[0] if named and yardstick.declared else len(declared)


def _grouped(runs: Iterable[FinishedRun], key: Callable[[FinishedRun], Key]) -> dict[Key, list[FinishedRun]]:
    groups: dict[Key, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _turns(run: FinishedRun) -> str:
    dataset = run.results.dataset
    return f"{dataset.n_turns:,} turns of {dataset.n_conversations:,} conversations, digest {dataset.turnset_sha256[:12]}"


def _collection(run: FinishedRun) -> str:
    dataset = run.results.dataset
    size = f"{dataset.passages:,} passages" if dataset.passages is not None else "passages unknown"
    origin = dataset.tier if dataset.pool is None else f"pooled from {dataset.pool.full_sha256[:12]}"
    return f"collection {(dataset.collection_sha256 or 'unchecked')[:12]} ({origin}, {size})"


def _short(run: FinishedRun) -> str:
    """What tells the ids of tasks apart: a pool may hold the very passages that it was taken from."""
    dataset = run.results.dataset
    return f"{'pooled-' if dataset.pool is not None else ''}{(dataset.collection_sha256 or 'unchecked')[:8]}"


def _refuse_twice(runs: Sequence[FinishedRun]) -> None:
    paths = [run.path.resolve() for run in runs]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise UsageError(f"{runs[place].path}: the same run folder is given twice")


def _distinct(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Without copies: a run on its own is often also a rung of a ladder, and would be tested against itself."""
    kept: dict[str, FinishedRun] = {}
    for run in runs:
        results = run.results
        scored = sorted([result.protocol, result.name, result.signature] for result in results.metrics)
        made = [results.run_sha256, results.system, results.dataset.model_dump(), results.seed, scored]
        same = kept.setdefault(json.dumps(made, sort_keys=True), run)
        if same is not run:
            log.warning("%s holds the same run as %s and is left out", run.path, same.path)
    return list(kept.values())


def _refuse_different(
    runs: Sequence[FinishedRun], what: str, value: Callable[[FinishedRun], str], advice: str = "compare runs that share them"
) -> None:
    first = runs[0]
    for run in runs[1:]:
        if value(run) != value(first):
            dataset = f"{first.results.dataset.name} {first.results.dataset.split}"
            found = f"{first.path} has {value(first)}; {run.path} has {value(run)}"
            raise UsageError(f"runs on {dataset} do not compare, their {what} differ: {found}; {advice}")


def _refuse_signatures(measures: Iterable[Sequence[tuple[Entrant, MetricResult]]]) -> None:
    """One reason a way of differing, with the measures that differ so."""
    reasons: dict[str, list[str]] = {}
    for holders in measures:
        (first, result), *others = holders
        for other, theirs in others:
            if differing := differences(result.signature, theirs.signature):
                reason = f"{first.run.path} against {other.run.path}: {'; '.join(map(str, differing))}"
                reasons.setdefault(reason, []).append(result.name)
                break
    if reasons:
        shown = " | ".join(f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in reasons.items())
        raise UsageError(f"signatures differ, so these numbers do not compare: {shown}; score the runs the same way, or choose --measure")


def _refuse_unknown(measures: Sequence[str], tasks: Sequence[Task]) -> None:
    known: Mapping[str, None] = {
        text: None
        for task in tasks
        for entrant in task.entrants
        for result in entrant.run.results.metrics
        if result.signature
        for text in (result.name, result.key)
    }
    for measure in measures:
        if measure not in known:
            names = ", ".join(text for text in known if "/" not in text)
            raise UsageError(f"no run has a measure {measure!r}.{did_you_mean(measure, known)} Known: {names}")
