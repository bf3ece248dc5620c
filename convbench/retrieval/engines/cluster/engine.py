"""The engine that encodes and searches on a Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convbench.backends.base import TextEncoder
from convbench.datasets.store import PassageStore
from convbench.meter import Meter
from convbench.retrieval.engines.cluster.cluster import Cluster
from convbench.retrieval.engines.cluster.connect import chosen_address, connected
from convbench.retrieval.engines.cluster.dispatch import Dispatch
from convbench.retrieval.engines.cluster.encoding import encode_shards
from convbench.retrieval.engines.cluster.head import Head
from convbench.retrieval.engines.cluster.nodes import alive, check_shared
from convbench.retrieval.engines.cluster.pool import Pool
from convbench.retrieval.engines.cluster.searching import ClusterScan
from convbench.retrieval.engines.cluster.settings import ClusterSettings
from convbench.retrieval.engines.cluster.surroundings import Surroundings
from convbench.retrieval.engines.cluster.workers import Scanner
from convbench.retrieval.scan import Scan
from convbench.retrieval.shard_build import missing_shards
from convbench.retrieval.shards import Shards

log = logging.getLogger(__name__)


@contextmanager
def ray_engine(settings: ClusterSettings, cache: Path) -> Iterator[RayEngine]:
    """Joins a cluster for the block, and makes sure that its nodes see the cache folder.

    Args:
        settings: Which cluster, and what is asked of it.
        cache: Folder for stores, indexes and embeddings.

    Raises:
        UsageError: No address.
        ResourceError: No cluster, or a node that does not see the folder.
        LostHeadError: The head is lost; the process had better end at once (``os._exit``).
    """
    with connected(chosen_address(settings.address)) as ray:
        head = Head.of(ray, settings.patience.head_seconds)
        nodes = alive(ray)
        check_shared(ray, nodes, cache, settings.patience.probe_seconds)
        log.info("ray %s: %s", ray.__version__, ", ".join(f"{node.address} ({node.cpus:g} CPUs, {node.gpus:g} GPUs)" for node in nodes))
        engine = RayEngine(Cluster(ray, head, settings))
        try:
            yield engine
        finally:
            engine.close()


class RayEngine:
    """Encodes and searches on a cluster, with the bytes of the local engine.

    One pool of workers is there at a time: what holds the cluster's processors either encodes or searches.

    Args:
        cluster: The cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._scanning: tuple[Pool, Dispatch] | None = None

    def build(self, shards: Shards, store: PassageStore, encoder: TextEncoder, meter: Meter) -> None:
        """Encodes the missing shards on the cluster."""
        with missing_shards(shards, meter) as (missing, advance):
            if missing:
                self.close()
                encode_shards(self._cluster, shards, missing, store, encoder, meter, advance)

    def scan(self, shards: Shards) -> Scan:
        """A pass over all blocks, a range of them on each worker."""
        return ClusterScan(self._cluster, shards, self._scanners)

    def take_record(self) -> dict[str, Any]:
        """Nodes, workers, and how many shards and ranges were done, done again and tried twice, since the last call."""
        return {"name": "ray", "version": self._cluster.ray.__version__, **self._cluster.record.take()}

    def close(self) -> None:
        """Ends the workers that search; they start again where they are needed."""
        if self._scanning is not None:
            self._scanning[0].close()
            self._scanning = None

    def _scanners(self) -> tuple[Dispatch, int]:
        if self._scanning is None:
            surroundings = Surroundings.here()
            hello = (surroundings, self._cluster.settings.block_bytes)
            self._scanning = self._cluster.pool(Scanner, hello, threads=surroundings.search_threads)
        pool, dispatch = self._scanning
        return dispatch, pool.size
