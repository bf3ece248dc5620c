"""Searching an index on a cluster: workers pass over contiguous ranges of its blocks, and the best of each are merged in their order.

Blocks are those of a search in one process, and merging does not depend on how they are grouped (``convbench.retrieval.scan.merged``), so
scores have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from convbench.backends.base import Vectors
from convbench.retrieval.engines.cluster.cluster import Cluster
from convbench.retrieval.engines.cluster.dispatch import Dispatch
from convbench.retrieval.engines.cluster.flight import Task
from convbench.retrieval.engines.cluster.workers import Passed
from convbench.retrieval.scan import Top, merged, nothing
from convbench.retrieval.shards import Shards


class ClusterScan:
    """Passes over the vectors of an index.

    Args:
        cluster: Where.
        shards: The vectors.
        scanners: The workers that pass over blocks, and how many there are to be; asked before each pass, as they may have made room for
            encoding meanwhile.
    """

    def __init__(self, cluster: Cluster, shards: Shards, scanners: Callable[[], tuple[Dispatch, int]]) -> None:
        self._cluster, self._shards, self._scanners = cluster, shards, scanners
        self._placed: Any = None
        self._square = 0.0

    @property
    def longest(self) -> float:
        """Length of the longest vector; 0 before the first pass."""
        return float(self._square**0.5)

    def top(self, vectors: Vectors, k: int) -> Top:
        """The k best of each query.

        Raises:
            ResourceError: Workers are lost too often, or the head is.
        """
        self._cluster.head.await_it()
        dispatch, size = self._scanners()
        ray = self._cluster.ray
        if self._placed is None:
            self._placed = ray.put(self._shards)
        found = ranges(self._shards, self._cluster.settings.block_bytes, size)
        work = _Ranges(found, self._placed, ray.put(vectors), k)
        index = self._shards.folder.path.name
        tasks = [Task(f"index {index}, passages {rows.start} to {rows.stop}", number, number) for number, rows in enumerate(found)]
        dispatch.run(tasks, work, self._cluster.record.ranges)
        best = nothing(len(vectors), k)
        for number in range(len(found)):
            best = merged(best, work.passed[number].top)
        self._square = max(passed.square for passed in work.passed.values())
        return best


def ranges(shards: Shards, block_bytes: int, workers: int) -> list[range]:
    """The rows of each worker, in order: whole blocks, as many to each as can be; fewer ranges where there are fewer blocks."""
    block = len(shards.memory(block_bytes))
    blocks = -(-shards.size // block)
    count = min(workers, blocks)
    ends = [number * blocks // count * block for number in range(count + 1)]
    return [range(start, min(end, shards.size)) for start, end in pairwise(ends)]


class _Ranges:
    """The ranges as work; queries and shards are in the object store, from where each node fetches them once."""

    def __init__(self, found: list[range], shards: Any, vectors: Any, k: int) -> None:
        self._found, self._shards, self._vectors, self._k = found, shards, vectors, k
        self.passed: dict[int, Passed] = {}

    def submit(self, handle: Any, task: Task) -> Any:
        return handle.scan.remote(self._shards, self._found[task.number], self._vectors, self._k)

    def take(self, task: Task, result: Passed) -> str | None:
        self.passed[task.number] = result
        return None

    def drop(self, result: Passed) -> None:
        pass
