"""Making a pool: some systems search the full collection for every turn of a split, or finished runs tell what they found."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.datasets.adapters import adapter_class, resolve_options
from convbench.datasets.base import Collection
from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, open_dataset
from convbench.datasets.pool import Pool
from convbench.datasets.pool_write import Contributor, refuse_place, write_pool
from convbench.datasets.store import ArrowPassageStore
from convbench.errors import MissingFileError, RunFileError, UsageError
from convbench.harness.batch import RunRequest, batch, steps
from convbench.harness.execute import Execution
from convbench.harness.finished import load_run
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.io.digests import value_sha256
from convbench.io.jsonl import read_jsonl
from convbench.systems.catalog import system_values
from convbench.systems.checkpoint_map import CheckpointMap
from convbench.types import TurnRecord

log = logging.getLogger(__name__)

SYSTEMS = ("bm25-history", "minilm-history")
"""Those that make a pool where none are named: the whole conversation as a query, one by words and one by meaning."""

DEPTH = 100
"""Passages of a turn that each gives where no depth is named."""

_WITHOUT_RESPONDER: Mapping[str, Mapping[str, Any]] = {"two-stage": {"generator": None}, "unified": {"decoding": None}}


@dataclass(frozen=True, slots=True)
class PoolRequest:
    """What a pool is made of.

    Attributes:
        dataset: The dataset, its split and its full collection.
        systems: Systems that search it.
        runs: Finished runs in their place; one of the two is empty.
        depth: How many passages of each turn.
        folder: Where the pool goes; None: its place in the cache.
        cache: Folder of stores, indexes and searches.
        offline: Refuse the network.
        checkpoint_map: Folders in place of checkpoints that systems name.
    """

    dataset: DatasetSpec
    systems: Sequence[str]
    runs: Sequence[Path]
    depth: int
    folder: Path | None
    cache: Path
    offline: bool
    checkpoint_map: CheckpointMap | None = None


def make_pool(request: PoolRequest) -> Pool:
    """Makes a pool; what was searched before is kept, and an interrupted search goes on.

    Raises:
        UsageError: It is asked of a part of the conversations, of another pool or of the gold passages alone; a system does not search; a
            run is of other files, or not deep enough; the folder holds another pool.
        MissingFileError: The full collection is not at hand, or a run is not finished.
        DataError: A run's passage is not in the collection.
        ConvbenchError: Anything else that stops a run.
    """
    dataset, collection = _full(request.dataset)
    if not dataset.retrieval_turns().ids:
        raise UsageError(f"{dataset.name}, split {dataset.split}: no turn is judged, so there is nothing to pool for")
    files = (*collection.files, *dataset.files)
    if request.folder is not None:
        refuse_place(request.folder, dataset, depth=request.depth, files=files)
    if request.runs:
        store = prepare_store(dataset, collection, request.cache)
        contributors = [_finished(run, dataset, store, request) for run in request.runs]
        folder = _place(request, dataset, [contributor.name for contributor in contributors])
    else:
        specs = _specs(request)
        folder = _place(request, dataset, [str(spec.system["name"]) for spec in specs])
        contributors = [_searched(spec, dataset, request) for spec in specs]
        store = prepare_store(dataset, collection, request.cache)
    return write_pool(dataset, store, collection.origin, contributors, depth=request.depth, folder=folder)


def _place(request: PoolRequest, dataset: Dataset, names: Sequence[str]) -> Path:
    """The folder of the pool; one that holds another pool is refused before anything is searched."""
    if len(set(names)) < len(names):
        raise UsageError(f"two systems of a pool have the same name ({', '.join(names)}): give each once")
    folder = request.folder or pool_place(request.cache, dataset.name, dataset.split, names, request.depth, dataset.options)
    refuse_place(folder, dataset, depth=request.depth, names=names)
    return folder


def pools_folder(cache: Path, dataset: str) -> Path:
    """Where the pools of a dataset lie in a cache."""
    return (cache / "pools" / dataset).absolute()


def pool_place(cache: Path, dataset: str, split: str, systems: Sequence[str], depth: int, options: Mapping[str, str] | None = None) -> Path:
    """Where a pool lies in a cache.

    Args:
        cache: The cache.
        dataset: The dataset.
        split: Its split.
        systems: Names of the systems.
        depth: Passages of each turn.
        options: Reading options; those with other values than the default are part of the place, since they change the queries.
    """
    defaults = resolve_options(adapter_class(dataset), {})
    other = [f"{key}={value}" for key, value in sorted((options or {}).items()) if value != defaults.get(key)]
    name = "-".join([f"{split}-top{depth}", "+".join(systems), *other])
    if len(name) > 100 or "/" in name:
        name = f"{split}-top{depth}-{value_sha256([*systems, *other])[:16]}"
    return pools_folder(cache, dataset) / name


def _full(spec: DatasetSpec) -> tuple[Dataset, Collection]:
    """The dataset with its full collection."""
    if spec.limit is not None or spec.conversations is not None:
        raise UsageError("a pool is made for a whole split: leave --limit and --conversations out")
    dataset = open_dataset(spec.request())
    if dataset.pool is not None:
        raise UsageError(f"{dataset.pool.folder}: is a pool itself: name the full collection with --corpus")
    collection = dataset.collection()
    if collection.origin == "gold-union":
        raise MissingFileError(f"{dataset.name}: no corpus file is at hand, only the gold passages: name the full collection with --corpus")
    return dataset, collection


def _specs(request: PoolRequest) -> list[RunSpec]:
    """Each system with no responder, at the pool's depth; all are resolved before anything is searched."""
    return [_spec(name, request) for name in dict.fromkeys(request.systems)]


def _spec(name: str, request: PoolRequest) -> RunSpec:
    bare = request.checkpoint_map.bare(name) if request.checkpoint_map is not None else name
    kind = str(system_values(bare, offline=request.offline).get("kind"))
    if kind not in _WITHOUT_RESPONDER:
        raise UsageError(
            f"--system {name}: a system of kind {kind!r} does not search; give a two-stage or unified system or a checkpoint, or take the "
            "rankings of a finished run with --run"
        )
    asked = RunRequest(
        systems=[name],
        datasets=[request.dataset],
        out=None,
        history=None,
        evidence=None,
        seed=0,
        cache=request.cache,
        offline=request.offline,
        settings={**_WITHOUT_RESPONDER[kind], "k": request.depth},
        checkpoint_map=request.checkpoint_map,
    )
    return steps(batch(asked).pairs[0], asked)[0].spec


def _searched(spec: RunSpec, dataset: Dataset, request: PoolRequest) -> Contributor:
    """Searches for every turn, in a folder of its own under the cache. Rows are kept by what they depend on: changed files do no harm."""
    folder = RunFolder(request.cache / "pooling" / value_sha256([spec.digest, spec.dataset.model_dump()])[:32])
    plan = Plan(spec, folder, request.cache, offline=request.offline)
    _ = plan.stages  # a stage that cannot do some turn says so before anything is written
    with _searching(folder):
        records = Execution(plan).inference()
    stages = {planned.stage.name: planned.stage.describe() for planned in plan.stages}
    rankings = _first(records, dataset, request.depth)
    return Contributor(plan.system.name, plan.system.conditions(), stages, folder.path, rankings)


@contextmanager
def _searching(folder: RunFolder) -> Iterator[None]:
    """The folder's lock; its own words for a second process are about --out, which does not name this folder."""
    with ExitStack() as stack:
        try:
            stack.enter_context(folder.locked())
        except UsageError as error:
            raise UsageError(f"{str(error).partition(';')[0]}, for a pool of the same turns and collection: wait for it") from None
        yield


def _finished(path: Path, dataset: Dataset, store: ArrowPassageStore, request: PoolRequest) -> Contributor:
    """The rankings of a finished run on the very same turns and collection."""
    run = load_run(path, cache=request.cache)
    held = run.results.dataset
    own = {
        "dataset": (held.name, dataset.name),
        "split": (held.split, dataset.split),
        "reading options": (held.options, dict(dataset.options)),
        "turns": (held.turnset_sha256[:12], dataset.all_turns().sha256[:12]),
        "collection": ((held.collection_sha256 or "unchecked")[:12], store.sha256[:12]),
    }
    for what, (found, expected) in own.items():
        if found != expected:
            raise UsageError(f"{path}: its {what} is {found!r}, and {expected!r} is pooled: give runs on the full collection of one split")
    rankings = _first(run.records, dataset, request.depth)
    if not any(rankings.values()):
        raise RunFileError(f"{path}: the run has no rankings of turns of {dataset.name}: give the run of a retriever")
    depth = run.results.conditions.get("k")
    reached = depth if isinstance(depth, int) else max(map(len, rankings.values()))
    if reached < min(request.depth, len(store)):
        raise UsageError(f"{path}: keeps {reached} passages a turn, fewer than --depth {request.depth}: run it deeper, or pool less deep")
    if not isinstance(depth, int) and (short := sum(len(ids) < min(request.depth, len(store)) for ids in rankings.values())):
        log.warning("%s: has fewer than %d passages of %d of %d turns", path, request.depth, short, len(rankings))
    _, header = next(read_jsonl(run.folder.turns))
    stages = header.get("stages")
    return Contributor(run.name, run.results.conditions, stages if isinstance(stages, dict) else {}, path, rankings)


def _first(records: Mapping[str, TurnRecord], dataset: Dataset, depth: int) -> dict[str, list[str]]:
    """The first passages of every retrieval turn, in order."""
    turns = dataset.retrieval_turns().ids
    return {turn_id: [id_ for id_, _ in records[turn_id].passages[:depth]] for turn_id in turns if turn_id in records}
