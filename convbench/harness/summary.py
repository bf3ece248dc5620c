"""What ``results.json`` says of a run besides its scores: dataset, collection, conditions, cost, truncation, warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import convbench
from convbench.datasets.pool import PoolManifest
from convbench.harness.costs import run_cost
from convbench.harness.execute import Execution
from convbench.harness.plan import Plan
from convbench.harness.provenance import package_versions
from convbench.harness.results import DatasetResult, MetricResult, Results, Truncation
from convbench.types import TurnRecord

_COLLECTION_WARNINGS = {
    "gold-union": "no corpus file: the collection is the union of the gold passages, an easier task than the real one",
    "unchecked": "no corpus file: passage ids of the run were not checked against the collection",
}


def summarise(execution: Execution, records: Mapping[str, TurnRecord], metrics: list[MetricResult], run_sha256: str) -> Results:
    """The results of a run: what was evaluated on, under which conditions, the aggregates, and what a reader must know."""
    plan, dataset = execution.plan, execution.plan.dataset
    collection = execution.collection()
    tier = "mini" if dataset.bundled and dataset.pool is None else collection["origin"]
    warnings = list(dataset.notes)
    if collection["origin"] in _COLLECTION_WARNINGS:
        warnings.append(_COLLECTION_WARNINGS[collection["origin"]])
    if dataset.pool is not None:
        warnings.append(_pool_warning(dataset.pool.manifest))
    if absent := _turns_without_gold_passage(execution):
        judged = len(dataset.retrieval_turns().ids)
        warnings.append(f"{len(absent)} of {judged} judged turns have no gold passage in the collection (first: {', '.join(absent[:5])})")
    if unknown := _unknown_passages(execution, records):
        warnings.append(f"{len(unknown)} retrieved passages are not in the collection (first: {', '.join(unknown[:5])})")
    if missing := _missing(plan, records, max((metric.n_missing for metric in metrics), default=0)):
        warnings.append(f"{len(missing)} turns are missing from the run and score 0 (first: {', '.join(missing[:5])})")
    return Results(
        convbench_version=convbench.__version__,
        system=plan.spec.system,
        dataset=DatasetResult(
            name=dataset.name,
            split=dataset.split,
            options=dict(dataset.options),
            tier=tier,
            pool=collection.get("pool"),
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
        run_sha256=run_sha256,
        metrics=metrics,
        cost=run_cost(plan.folder, len(dataset.turns)),
        truncation=truncation(records.values()),
        packages=package_versions(),
        warnings=warnings,
    )


def _pool_warning(pool: PoolManifest) -> str:
    return (
        f"searched a pool, {pool.passages:,} of {pool.full.passages:,} passages (gold, and the top {pool.depth} of "
        f"{' and '.join(pool.names)}): this is no result on the full collection, and too high for systems that did not make the pool"
    )


def truncation(records: Iterable[TurnRecord]) -> Truncation:
    """How many turns did not fit, of those whose ledger says whether they did."""
    cuts = [cut for record in records if isinstance(cut := record.ledger.get("truncated"), Mapping)]
    truncated = sum(bool(cut) for cut in cuts)
    by = Counter(name for cut in cuts for name in cut)
    share = truncated / len(cuts) if cuts else None
    return Truncation(n_turns=len(cuts), n_truncated=truncated, share=share, by=dict(sorted(by.items())))


def _missing(plan: Plan, records: Mapping[str, TurnRecord], most: int) -> list[str]:
    """Turns that some measure averages over and that the run lacks; all of those where a protocol counts more than the usual ones."""
    usual = {*plan.dataset.retrieval_turns().ids, *plan.dataset.response_turns().ids}
    absent = [turn.id for turn in plan.dataset.turns if turn.id not in records]
    counted = [turn_id for turn_id in absent if turn_id in usual]
    return absent if most > len(counted) else counted


def _unknown_passages(execution: Execution, records: Mapping[str, TurnRecord]) -> list[str]:
    """Passages of a run from elsewhere that the collection does not hold."""
    if execution.plan.system.needs_passages or execution.store is None:
        return []
    ids = sorted({passage_id for record in records.values() for passage_id, _ in record.passages})
    return [passage_id for passage_id, row in zip(ids, execution.store.rows(ids), strict=True) if row < 0]


def _turns_without_gold_passage(execution: Execution) -> list[str]:
    """Judged turns that no retriever can get right, because the collection lacks their gold passages."""
    if execution.store is None:
        return []
    judged = set(execution.plan.dataset.retrieval_turns().ids)
    turns = [turn for turn in execution.plan.dataset.turns if turn.id in judged]
    ids = sorted({passage_id for turn in turns for passage_id in turn.gold})
    known = {passage_id for passage_id, row in zip(ids, execution.store.rows(ids), strict=True) if row >= 0}
    return [turn.id for turn in turns if known.isdisjoint(turn.gold)]
