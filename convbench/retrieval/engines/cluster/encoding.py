"""Encoding the shards of an index on a cluster.

Workers read passages from the store and write shards beside their places; the driver checks what arrived against the worker's digest, puts
it in its place and enters it in the manifest. So one process writes all that counts, and a shard that two workers made is there once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convbench.backends.base import TextEncoder
from convbench.datasets.store import ArrowPassageStore, PassageStore
from convbench.errors import UsageError
from convbench.io.digests import file_sha256
from convbench.meter import Meter
from convbench.progress import Advance
from convbench.retrieval.engines.cluster.agreement import compare_first
from convbench.retrieval.engines.cluster.cluster import Cluster
from convbench.retrieval.engines.cluster.flight import Task
from convbench.retrieval.engines.cluster.surroundings import Surroundings, bare
from convbench.retrieval.engines.cluster.workers import EncodingJob, EncodingWorker, Made
from convbench.retrieval.index_folder import Part
from convbench.retrieval.shards import Shards

_AHEAD = 2
"""Shards at a worker: one that it encodes, one that waits while the first is checked."""


def encode_shards(
    cluster: Cluster, shards: Shards, missing: Mapping[int, Part], store: PassageStore, encoder: TextEncoder, meter: Meter, advance: Advance
) -> None:
    """Makes the missing shards; the caller holds the index's lock.

    Args:
        cluster: Where.
        shards: What there must be.
        missing: What to make, by first row.
        store: The passages, on disk.
        encoder: Encodes them; workers get a copy without its weights, and load them once.
        meter: Where workers' forward passes and tokens are counted.
        advance: Told of every shard.

    Raises:
        ConvbenchError: What encoding here would raise, or workers are lost too often.
    """
    if not isinstance(store, ArrowPassageStore):
        raise UsageError(f"--engine ray reads passages from a store on disk, found a {type(store).__name__}")
    compare_first(encoder, store, missing, meter)
    cluster.head.await_it()
    described = encoder.describe()
    surroundings = Surroundings.here()
    job = EncodingJob(bare(encoder), described, store.folder.absolute(), store.sha256, shards, surroundings)
    is_on_gpu = str(described.get("device", "")).startswith("cuda")
    asked = cluster.settings.gpus_per_worker
    gpus = (1.0 if is_on_gpu else 0.0) if asked is None else asked
    pool, dispatch = cluster.pool(EncodingWorker, (cluster.ray.put(job),), threads=surroundings.threads, gpus=gpus)
    tasks = [Task(part.name, start) for start, part in missing.items()]
    try:
        dispatch.run(tasks, _Shards(shards, missing, meter, advance), cluster.record.shards, ahead=_AHEAD)
    finally:
        pool.close()
        for path in shards.folder.leftovers():
            path.unlink(missing_ok=True)


class _Shards:
    """The missing shards as work; a task's number is a shard's first row."""

    def __init__(self, shards: Shards, missing: Mapping[int, Part], meter: Meter, advance: Advance) -> None:
        self._shards, self._missing, self._meter, self._advance = shards, missing, meter, advance

    def submit(self, handle: Any, task: Task) -> Any:
        return handle.encode.remote(task.number, self._missing[task.number])

    def take(self, task: Task, result: Made) -> str | None:
        part = self._missing[task.number]
        written = self._shards.path(part).with_name(result.file)
        if not written.is_file():
            return "what the worker wrote is not there"
        if file_sha256(written) != result.sha256:
            written.unlink()
            return "it arrived with another content than the worker wrote"
        written.replace(self._shards.path(part))
        self._shards.folder.record(part)
        self._meter.count(**result.counts)
        self._advance(part.rows, result.tokens)
        return None

    def drop(self, result: Made) -> None:
        (self._shards.folder.path / result.file).unlink(missing_ok=True)
