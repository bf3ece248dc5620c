"""Running a specification into a folder: plan, inference, scores, results, report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import convbench
from convbench.datasets.loading import MINI
from convbench.errors import ConvbenchError, StorageError, UsageError
from convbench.harness.execute import Execution, all_finished
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan
from convbench.harness.provenance import environment, package_versions
from convbench.harness.results import DatasetResult, MetricResult, Results, read_results, write_results
from convbench.harness.scoring import Scored, check_metrics, merged, not_computed, read_scores, score_run, write_scores
from convbench.harness.spec import RunSpec
from convbench.io.runfile import read_run
from convbench.metrics.base import Metric
from convbench.types import TurnRecord

_COLLECTION_WARNINGS = {
    "gold-union": "no corpus file: the collection is the union of the gold passages, an easier task than the real one",
    "unchecked": "no corpus file: passage ids of the run were not checked against the collection",
}

log = logging.getLogger(__name__)


def run(spec: RunSpec, path: Path, metrics: Sequence[Metric], *, cache: Path, offline: bool) -> Results:
    """Runs a specification into a run folder; whatever the folder holds of it already is kept.

    Args:
        spec: System, dataset, seed.
        path: The run folder; created, or one that this very run was started in before.
        metrics: What to score.
        cache: Folder for stores, indexes and embeddings.
        offline: Refuse the network.

    Raises:
        UsageError: The folder holds another run, or another process works in it.
        ConvbenchError: Anything else a user can act on; finished work stays.
    """
    folder = RunFolder(path)
    plan = Plan(spec, folder, cache, offline=offline)
    ready, unavailable = check_metrics(metrics)
    _ = plan.stages  # a stage that cannot do some turn says so before the folder is made
    with folder.locked():
        folder.refuse_other(spec, plan.inputs)
        history = folder.read_info()["executions"] if folder.info.exists() else []
        execution = Execution(plan)
        started = _now()
        _note(plan, [*history, {"started": started, "status": "running"}])
        if all_finished(plan):
            log.info("%s on %s: every stage is finished, nothing to infer", plan.system.name, plan.dataset.name)
        try:
            records = execution.inference()
            scored = score_run(execution, records, ready)
            write_scores(folder.scores, scored.scores)
        except (ConvbenchError, OSError, KeyboardInterrupt) as error:
            with suppress(StorageError):  # on a full disk the note fails too
                _note(plan, [*history, _ended(started, "failed", execution, str(error) or "interrupted")])
            raise
        results = _results(execution, [*scored.results, *map(not_computed, unavailable)], records)
        write_results(folder.results, results)
        _note(plan, [*history, _ended(started, "finished", execution)])
    return results


def rescore(path: Path, metrics: Sequence[Metric], *, cache: Path, offline: bool) -> Results:
    """Scores a finished run folder with more metrics, or again; nothing is inferred, and measures not asked for stay as they are.

    Raises:
        UsageError: The run is not finished, or the dataset's files are no longer those it was made from.
    """
    folder = RunFolder(path)
    spec = folder.spec()
    if not folder.turns.exists():
        raise UsageError(f"{path}: inference is not finished; run the same `convbench run` command again first")
    plan = Plan(spec, folder, cache, offline=offline)
    ready, unavailable = check_metrics(metrics)
    with folder.locked():
        folder.refuse_other(spec, plan.inputs)
        execution = Execution(plan)
        records = dict(read_run(folder.turns).records)
        later = score_run(execution, records, ready)
        later.results.extend(map(not_computed, unavailable))
        scored = merged(_earlier(folder), later, [metric.name for metric in metrics])
        write_scores(folder.scores, scored.scores)
        results = _results(execution, scored.results, records)
        write_results(folder.results, results)
    return results


def _earlier(folder: RunFolder) -> Scored:
    """What was scored before; nothing where scoring never came to its end."""
    if not (folder.results.exists() and folder.scores.exists()):
        return Scored([], [])
    return Scored(read_results(folder.results).metrics, read_scores(folder.scores))


def _missing(plan: Plan, records: Mapping[str, TurnRecord]) -> list[str]:
    """Turns that some measure averages over and that the run lacks."""
    counted = {*plan.dataset.retrieval_turns().ids, *plan.dataset.response_turns().ids}
    return [turn.id for turn in plan.dataset.turns if turn.id in counted and turn.id not in records]


def _note(plan: Plan, executions: list[dict[str, Any]]) -> None:
    plan.folder.write_info(
        {
            "status": executions[-1]["status"],
            "spec": plan.spec.model_dump(mode="json"),
            "spec_sha256": plan.spec.digest,
            "inputs": plan.inputs,
            "stages": [{"name": planned.stage.name, "key": planned.key} for planned in plan.stages],
            "environment": environment(),
            "executions": executions,
        }
    )


def _ended(started: str, status: str, execution: Execution, error: str | None = None) -> dict[str, Any]:
    ended = {"started": started, "ended": _now(), "status": status, "seconds": execution.seconds}
    return ended | {"error": error} if error else ended


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _unknown_passages(execution: Execution, records: Mapping[str, TurnRecord]) -> list[str]:
    """Passages of a run from elsewhere that the collection does not hold."""
    if execution.plan.system.needs_passages or execution.store is None:
        return []
    ids = sorted({passage_id for record in records.values() for passage_id, _ in record.passages})
    return [passage_id for passage_id, row in zip(ids, execution.store.rows(ids), strict=True) if row < 0]


def _results(execution: Execution, metrics: list[MetricResult], records: Mapping[str, TurnRecord]) -> Results:
    plan, dataset = execution.plan, execution.plan.dataset
    collection = execution.collection()
    tier = MINI if dataset.split == MINI else collection["origin"]
    warnings = list(dataset.notes)
    if collection["origin"] in _COLLECTION_WARNINGS:
        warnings.append(_COLLECTION_WARNINGS[collection["origin"]])
    if unknown := _unknown_passages(execution, records):
        warnings.append(f"{len(unknown)} retrieved passages are not in the collection (first: {', '.join(unknown[:5])})")
    if missing := _missing(plan, records):
        warnings.append(f"{len(missing)} turns are missing from the run and score 0 (first: {', '.join(missing[:5])})")
    return Results(
        convbench_version=convbench.__version__,
        system=plan.spec.system,
        dataset=DatasetResult(
            name=dataset.name,
            split=dataset.split,
            options=dict(dataset.options),
            tier=tier,
            collection_sha256=collection["sha256"],
            passages=collection["passages"],
            turnset_sha256=dataset.all_turns().sha256,
            n_conversations=len(dataset.conversations),
            n_turns=len(dataset.turns),
            n_judged=len(dataset.retrieval_turns().ids),
            licence=dataset.licence,
        ),
        conditions=plan.system.conditions(),
        seed=plan.spec.seed,
        metrics=metrics,
        packages=package_versions(),
        warnings=warnings,
    )
