"""Computing a unified run's self-agreement: from its specification, its dataset and its rows, batch by batch, gone on with after a kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from convbench.errors import UsageError
from convbench.harness.agreement_file import SCHEMA, RunAgreement, Whose, agreement_path, read_agreement, write_agreement
from convbench.harness.execute import Execution
from convbench.harness.finished import FinishedRun
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan, split_batches
from convbench.harness.stage_output import StageOutput
from convbench.io.digests import value_sha256
from convbench.io.jsonl import read_jsonl
from convbench.meter import Meter
from convbench.systems.base import Row, Workplace
from convbench.systems.self_agreement import VERSION, SelfAgreement, gold_response, own_response
from convbench.systems.unified import Unified
from convbench.types import Turn

_RESPONSES = {"own": own_response, "gold": gold_response}


def agree(path: Path, *, k: int, response: Whose, cache: Path, offline: bool) -> RunAgreement:
    """Computes a run's self-agreement and writes it into its folder; what is there already is not computed again.

    Args:
        path: A finished run of a unified system.
        k: How many passages of each ranking.
        response: Whose response.
        cache: Folder of stores.
        offline: Refuse the network.

    Raises:
        UsageError: It is no run of a unified system, has no responses or rankings of its own, or its files are no longer those it was made
            from.
        MissingFileError: The folder holds no finished run.
        ResourceError: The checkpoint cannot be had.
    """
    run = FinishedRun(path, cache)
    spec = run.folder.spec()
    plan = Plan(spec, run.folder, cache, offline=offline)
    unified = _unified(path, plan)
    with run.folder.locked():
        run.folder.refuse_other(spec, plan.inputs)
        records, model = run.records, unified.model.describe()
        _refuse_other_weights(run.folder, model)
        execution, meter = Execution(plan), Meter()
        header = {"k": k, "response": response, "model": model, "run_sha256": run.results.run_sha256}
        batches = split_batches(plan.dataset.turns, 1, "conversation")
        key = value_sha256([SCHEMA, VERSION, header, plan.inputs])
        output = StageOutput(run.folder.stages, f"agreement-{response}", key, [[turn.id for turn in batch] for batch in batches])

        def compute(number: int, turns: Sequence[Turn]) -> list[Row]:
            store = Workplace(execution.store, cache, meter).store
            return SelfAgreement(unified, store, records, k, _RESPONSES[response]).rows(turns, meter)

        rows = execution.compute(output, batches, unified.model.encoder.load, compute)
        write_agreement(agreement_path(path, response), header, rows.values())
    return read_agreement(agreement_path(path, response))


def _unified(path: Path, plan: Plan) -> Unified:
    """The system of a run, if it has the two sides."""
    needs = "agreement is between the two sides of one model, its embeddings and its responses"
    system = plan.system
    if not isinstance(system, Unified):
        raise UsageError(f"{path}: {system.name} is a system of kind {plan.spec.system['kind']!r}; {needs}: give a run of kind 'unified'")
    if not system.config.responds:
        raise UsageError(f"{path}: {system.name} has no responses, it only retrieves; {needs}")
    if (rankings := system.config.rankings) is not None:
        raise UsageError(f"{path}: its rankings are those of {rankings.system}; {needs}: give a run with rankings of its own")
    return system


def _refuse_other_weights(folder: RunFolder, model: Mapping[str, Any]) -> None:
    """What the run's stage said of itself has the checkpoint's label, which holds a digest of the weights, and one of its other files."""
    _, header = next(read_jsonl(folder.turns))
    held = list(_checkpoints(header.get("stages")))
    if held and (model.get("model"), model.get("files")) not in held:
        raise UsageError(
            f"{folder.path}: the files of {model.get('model')} are no longer those that the run was made with; put them back, or run again"
        )


def _checkpoints(described: Any) -> Iterator[tuple[Any, Any]]:
    """(label, digest) of every checkpoint in nested descriptions."""
    if isinstance(described, Mapping):
        if "files" in described:
            yield described.get("model"), described["files"]
        described = list(described.values())
    if isinstance(described, list):
        for value in described:
            yield from _checkpoints(value)
