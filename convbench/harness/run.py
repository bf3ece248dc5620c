"""Running a specification into a folder: plan, inference, scores, results, report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError, DataError, MissingFileError, StorageError, UsageError
from convbench.harness.collecting import rare_collections
from convbench.harness.costs import lacking_costs
from convbench.harness.execute import Execution, all_finished
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan
from convbench.harness.provenance import environment
from convbench.harness.results import NOT_SCORED, Results, read_results, refuse_other_scores, write_results
from convbench.harness.score_file import read_scores, write_scores
from convbench.harness.scoring import Checked, Scored, check_parts, merged, not_computed, score_run
from convbench.harness.sharing import take_over
from convbench.harness.spec import RunSpec
from convbench.harness.summary import summarise
from convbench.io.atomic import atomic_path
from convbench.io.digests import file_sha256
from convbench.io.runfile import read_run
from convbench.metrics.selection import Selection
from convbench.retrieval.engines.base import engine_in_use
from convbench.types import TurnRecord

log = logging.getLogger(__name__)

_LOST = "scored again; measures that this command does not ask for are lost, ask for them with `convbench score`"


@rare_collections()
def run(spec: RunSpec, path: Path, selection: Selection, *, cache: Path, offline: bool, donors: Sequence[Path] = ()) -> Results:
    """Runs a specification into a run folder; whatever the folder holds of it already is kept.

    Args:
        spec: System, dataset, seed.
        path: The run folder; created, or one that this very run was started in before.
        selection: What to score.
        cache: Folder for stores, indexes and embeddings.
        offline: Refuse the network.
        donors: Other run folders; a stage that one of them has finished under the very same key is copied from it.

    Raises:
        UsageError: The folder holds another run, or another process works in it.
        ConvbenchError: Anything else a user can act on; finished work stays.
    """
    folder = RunFolder(path)
    plan = Plan(spec, folder, cache, offline=offline)
    checked = check_parts(selection.parts(plan.dataset))
    _ = plan.stages  # a stage that cannot do some turn says so before the folder is made
    with folder.locked():
        folder.refuse_other(spec, plan.inputs)
        history = folder.read_info()["executions"] if folder.info.exists() else []
        execution = Execution(plan)
        started = _now()
        _note(plan, [*history, {"started": started, "status": "running"}])
        take_over(plan, donors)
        if all_finished(plan):
            log.info("%s on %s: every stage is finished, nothing to infer", plan.system.name, plan.dataset.name)
        try:
            records = execution.inference()
            results = _score(execution, records, checked)
        except (ConvbenchError, OSError, KeyboardInterrupt) as error:
            with suppress(StorageError):  # on a full disk the note fails too
                _note(plan, [*history, _ended(started, "failed", execution, str(error) or "interrupted")])
            raise
        _note(plan, [*history, _ended(started, "finished", execution)])
    return results


@rare_collections()
def rescore(path: Path, selection: Selection, *, cache: Path, offline: bool) -> Results:
    """Scores a finished run folder with more metrics, or again; nothing is inferred, and measures not asked for stay as they are.

    Raises:
        UsageError: The run is not finished, or the dataset's files are no longer those it was made from.
    """
    folder = RunFolder(path)
    spec = folder.spec()
    if not folder.turns.exists():
        raise UsageError(f"{path}: inference is not finished; run the same `convbench run` command again first")
    _refuse_changed_turns(folder)
    plan = Plan(spec, folder, cache, offline=offline)
    checked = check_parts(selection.parts(plan.dataset))
    with folder.locked():
        folder.refuse_other(spec, plan.inputs)
        execution = Execution(plan)
        records = dict(read_run(folder.turns).records)
        return _score(execution, records, checked)


def _score(execution: Execution, records: Mapping[str, TurnRecord], checked: Checked) -> Results:
    """Scores a run and writes ``scores.jsonl`` and ``results.json``; measures of this very run that were not asked for stay in them."""
    folder = execution.plan.folder
    run_sha256 = file_sha256(folder.turns)
    later = score_run(execution, records, checked.ready, run_sha256)
    later.results.extend(map(not_computed, checked.unavailable))
    before = _earlier(folder, run_sha256)
    scored = merged(_scores_of(folder, before), later, [*checked.ready, *(unavailable.part for unavailable in checked.unavailable)])
    with atomic_path(folder.scores) as written:
        write_scores(written, scored.scores)
        digest = file_sha256(written)
        if before is not None and before.scores_sha256 and digest not in before.scores_sha256:  # or a kill would part the two files
            write_results(folder.results, before.model_copy(update={"scores_sha256": (*before.scores_sha256[:1], digest)}))
    results = summarise(execution, records, scored.results, run_sha256).model_copy(update={"scores_sha256": (digest,)})
    if lacking := lacking_costs(folder, len(execution.plan.dataset.turns)):
        if before is None:
            log.warning("%s: what the run cost is not known whole", "; ".join(lacking))
        else:
            results = results.model_copy(update={"cost": before.cost})  # it was measured, and the run is the same
    write_results(folder.results, results)
    return results


def _earlier(folder: RunFolder, run_sha256: str) -> Results | None:
    """The results of the same run; None where scoring never came to its end."""
    if not folder.results.exists():
        return None
    try:
        results = read_results(folder.results)
    except (DataError, UsageError) as error:
        log.warning("%s: %s", error, _LOST)
        return None
    return results if results.run_sha256 == run_sha256 else None


def _scores_of(folder: RunFolder, results: Results | None) -> Scored:
    """What was scored before of the same run."""
    if results is None:
        return Scored([], [])
    try:
        refuse_other_scores(folder.scores, results)
        return Scored(results.metrics, read_scores(folder.scores))
    except (DataError, MissingFileError) as error:
        log.warning("%s: %s", error, _LOST)
        return Scored([], [])


def _refuse_changed_turns(folder: RunFolder) -> None:
    """Nothing else tells that a record was lost or changed: the scores would be of another run without a word."""
    scored = None
    with suppress(DataError, MissingFileError, UsageError):  # of results that cannot be read, scoring says what becomes of them
        scored = read_results(folder.results).run_sha256
    if scored is not None and folder.read_info()["status"] == "finished" and scored != file_sha256(folder.turns):
        raise UsageError(f"{folder.turns}: {NOT_SCORED}")


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
    engine = engine_in_use().take_record()
    ended = {"started": started, "ended": _now(), "status": status, "seconds": execution.seconds, "engine": engine}
    return ended | {"error": error} if error else ended


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
