"""The rankings that negatives are mined from: a search by the harness, kept under the cache, or those of a finished run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.datasets.loading import Dataset, open_dataset
from convbench.datasets.store import PassageStore
from convbench.errors import MissingFileError, RunFileError, UsageError
from convbench.harness.batch import RunRequest, batch, steps
from convbench.harness.execute import Execution
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.io.atomic import write_text
from convbench.io.digests import file_sha256, value_sha256
from convbench.io.jsonl import dump_line
from convbench.meter import Meter
from convbench.systems.base import Workplace
from convbench.systems.catalog import system_values
from convbench.systems.rankings import GivenRankings, rankings_name
from convbench.systems.replay import replay_name
from convbench.systems.self_agreement import gold_response
from convbench.types import TurnRecord
from convbench.views.history import REWRITE

RESPONSE = "response"
"""The query view of the question with the gold response behind it."""

BM25 = "bm25"
"""BM25 over the whole history, but for another query view."""

_WITHOUT_RESPONDER: Mapping[str, Mapping[str, Any]] = {"two-stage": {"generator": None}, "unified": {"decoding": None}}


@dataclass(frozen=True, slots=True)
class Rankings:
    """Rankings of a dataset's turns, and where they come from.

    Attributes:
        dataset: The dataset.
        store: Its collection; every ranked passage is in it.
        records: Turn id -> its record; a run of elsewhere may lack turns.
        collection: Origin, digest and size of the collection.
        retriever: Name, conditions and stages of the system that retrieved, without places on this machine.
    """

    dataset: Dataset
    store: PassageStore
    records: Mapping[str, TurnRecord]
    collection: Mapping[str, Any]
    retriever: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched with.

    Attributes:
        system: ``bm25``, or whatever ``convbench run`` takes for a system that retrieves.
        query: A history view, ``rewrite``, or ``response``; None: the system's own.
        depth: Depth of the rankings.
        profile: How a bare checkpoint is used.
        settings: Values that change the system's own, by dotted key.
    """

    system: str
    query: str | None
    depth: int
    profile: str | dict[str, Any] | None
    settings: Mapping[str, Any]


def searched(search: Search, dataset: DatasetSpec, *, cache: Path, offline: bool) -> Rankings:
    """Searches a dataset's collection for every turn; what was searched before is kept, and an interrupted search goes on.

    Raises:
        UsageError: There is no such system or view, the system does not retrieve, or no turn has gold.
        ConvbenchError: Anything else that stops a run.
    """
    spec = _search_spec(search, dataset, cache, offline=offline)
    plan, execution, records = _executed(spec, cache, offline=offline)
    return _rankings(plan, execution, records, plan.system.name)


def given(run: Path, dataset: DatasetSpec, *, cache: Path, offline: bool) -> Rankings:
    """The rankings of a finished run: a run folder, a joint run or a TREC run.

    Raises:
        MissingFileError: There is no such run, or the collection is not at hand.
        UsageError: No turn of the dataset has gold.
        RunFileError: The run has no rankings, or none of the dataset's turns.
        DataError: The run is malformed, or one of its passages is not in the collection.
    """
    if not (run / "turns.jsonl" if run.is_dir() else run).is_file():
        raise MissingFileError(f"{run}: no finished run here; --from needs a run folder, a joint run (.jsonl) or a TREC run")
    spec = RunSpec(system={"kind": "replay", "name": replay_name(run), "run": str(run.resolve())}, dataset=dataset)
    plan, execution, records = _executed(spec, cache, offline=offline)
    if not any(record.passages for record in records.values()):
        raise RunFileError(f"{run}: the run has no rankings of turns of {plan.dataset.name}; --from needs those of a retriever")
    rankings = _rankings(plan, execution, records, rankings_name(run))
    GivenRankings(run).open(rankings.store, None, cache, Meter())
    return rankings


def _executed(spec: RunSpec, cache: Path, *, offline: bool) -> tuple[Plan, Execution, dict[str, TurnRecord]]:
    """Runs a specification in a folder of its own under the cache. Rows are kept by what they depend on, so changed files do no harm."""
    places = spec.dataset.model_dump(exclude={"conversations"})  # a selection is in the digest already
    folder = RunFolder(cache / "mining" / value_sha256([spec.digest, places])[:32])
    plan = Plan(spec, folder, cache, offline=offline)
    if not any(turn.gold for turn in plan.dataset.turns):
        place = f"{plan.dataset.name} ({plan.dataset.split})"
        raise UsageError(f"{place}: no turn has a gold passage, so nothing can be mined; do the relevance judgements lie below --data?")
    _ = plan.stages  # a stage that cannot do some turn says so before anything is written
    with folder.locked():
        execution = Execution(plan)
        return plan, execution, execution.inference()


def _rankings(plan: Plan, execution: Execution, records: Mapping[str, TurnRecord], name: str) -> Rankings:
    store = Workplace(execution.store, plan.cache, Meter()).store
    stages = {planned.stage.name: planned.stage.describe() for planned in plan.stages}
    retriever = {"name": name, "conditions": plan.system.conditions(), "stages": stages}
    return Rankings(plan.dataset, store, records, execution.collection(), retriever)


def _search_spec(search: Search, dataset: DatasetSpec, cache: Path, *, offline: bool) -> RunSpec:
    """The system with no responder, under the query view."""
    system = "bm25-history" if search.system == BM25 else search.system
    kind = str(system_values(system, profile=search.profile, offline=offline).get("kind"))
    if kind not in _WITHOUT_RESPONDER:
        raise UsageError(
            f"--with {search.system}: a system of kind {kind!r} does not search; give bm25, a checkpoint or a two-stage or unified system, "
            "or take the rankings of a finished run with --from"
        )
    named = {"name": BM25} if search.system == BM25 else {}
    request = RunRequest(
        systems=[system],
        datasets=[_with_responses(dataset, cache) if search.query == RESPONSE else dataset],
        out=None,
        history=REWRITE if search.query == RESPONSE else search.query,
        evidence=None,
        seed=0,
        cache=cache,
        offline=offline,
        profile=search.profile,
        settings={**search.settings, **named, **_WITHOUT_RESPONDER[kind], "k": search.depth},
    )
    if request.ladder is not None:
        raise UsageError(f"--query {search.query}: a ladder is several views; name one")
    return steps(batch(request).pairs[0], request)[0].spec


def _with_responses(dataset: DatasetSpec, cache: Path) -> DatasetSpec:
    """The dataset whose rewrites are the queries: the question, then the main reference.

    A view of one's own for every turn is what a file of rewrites is for; it lies under the cache, named by its content.

    Raises:
        UsageError: No turn has a reference response.
    """
    opened = open_dataset(dataset.request())
    if not any(gold_response(turn, None) for turn in opened.turns):
        raise UsageError(f"--query {RESPONSE}: no turn of {opened.name} ({opened.split}) has a reference response; choose another view")
    queries = [(turn.id, f"{turn.rewrite or turn.query}\n{gold_response(turn, None)}".strip()) for turn in opened.turns]
    text = "".join(dump_line({"turn_id": turn_id, "rewrite": query}) for turn_id, query in queries)
    path = cache / "mining" / f"queries-{value_sha256(text)[:32]}.jsonl"
    if not (path.exists() and file_sha256(path) == hashlib.sha256(text.encode()).hexdigest()):
        write_text(path, text)
    return dataset.model_copy(update={"rewrites": str(path.absolute())})
