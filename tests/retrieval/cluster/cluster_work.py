"""What the tests on a cluster share: a small index to make, vectors to search, and waiting for what happens elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from retrieval.cluster.local_cluster import LocalCluster
from retrieval.small_index import WordEncoder, content, passages

from convbench.meter import Meter
from convbench.retrieval.engines.cluster.pool import Pool
from convbench.retrieval.engines.cluster.settings import ClusterSettings, Patience
from convbench.retrieval.exact import Neighbours
from convbench.retrieval.index_folder import IndexFolder
from convbench.retrieval.shard_build import build_shards
from convbench.retrieval.shards import Shards

if TYPE_CHECKING:
    from convbench.datasets.store import ArrowPassageStore

PASSAGES = passages(60)
ROWS = 6
SHARDS = 10
PATIENT = Patience(start_seconds=120, slow_seconds=60)


def shards_in(folder: Path, store: ArrowPassageStore) -> Shards:
    return Shards(IndexFolder(folder, folder.parent / "digests"), len(store), 32, "float16", ROWS)


def locally(folder: Path, store: ArrowPassageStore) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of an index that this process made, and what it counted."""
    meter = Meter()
    build_shards(shards_in(folder, store), store, WordEncoder(), meter)
    return content(folder), counted(meter)


def counted(meter: Meter) -> dict[str, Any]:
    phases: dict[str, dict[str, Any]] = meter.take()["phases"]
    return {name: {key: value for key, value in phase.items() if key != "seconds"} for name, phase in phases.items()}


def settings(cluster: LocalCluster, patience: Patience = PATIENT) -> ClusterSettings:
    return ClusterSettings(address=cluster.address, block_bytes=1, patience=patience)


def same(found: list[Neighbours], expected: list[Neighbours]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(np.array_equal(one.rows, other.rows) and one.scores.tobytes() == other.scores.tobytes() for one, other in pairs)


def vectors_with_ties(rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Small whole numbers: many products are equal, and many vectors are copies."""
    return np.random.default_rng(2).integers(-1, 2, (rows, 8)).astype(np.float32)


def meanwhile(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
    return value


def all_there(pool: Pool, count: int) -> None:
    """Waits until so many workers said hello."""
    until(lambda: pool.fill(count) or [pool.welcome(each) for each in list(pool.starting)] or len(pool.workers) == count)
