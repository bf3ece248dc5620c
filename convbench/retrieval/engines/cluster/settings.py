"""How a cluster is reached and used."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from convbench.retrieval.shards import BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Patience:
    """When something takes too long.

    Attributes:
        slow: A piece of work is slow that takes so many times the median of those that are done.
        slow_seconds: No work is slow before so many seconds.
        hung: A worker hangs that takes so many times the median over a piece of work.
        hung_seconds: No worker hangs before so many seconds; a range that lies in no page cache takes long, and others may.
        first_seconds: When a worker hangs while nothing is done yet, so that there is no median; work is slow after a quarter of it.
        start_seconds: Until a first worker must have started; a cluster may have to bring nodes up first.
        probe_seconds: Until every node must have answered.
        head_seconds: How long the head may be away.
        attempts: How often a piece of work may lose its worker.
    """

    slow: float = 3.0
    slow_seconds: float = 30.0
    hung: float = 10.0
    hung_seconds: float = 1800.0
    first_seconds: float = 7200.0
    start_seconds: float = 900.0
    probe_seconds: float = 120.0
    head_seconds: float = 20.0
    attempts: int = 3

    def with_hung_after(self, seconds: float | None) -> Patience:
        """The same, but a worker hangs after so many seconds whatever others take; None: as it is."""
        return self if seconds is None else replace(self, hung=0.0, hung_seconds=seconds, first_seconds=seconds)


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """A cluster and what is asked of it.

    Attributes:
        address: ``host:port`` or ``auto``; None: ``$RAY_ADDRESS``.
        workers: Processes that encode or search; None: as many as the cluster has room for.
        gpus_per_worker: GPUs of a worker that encodes; None: one where the encoder computes on a GPU, else none.
        block_bytes: As ``convbench.retrieval.shards.BLOCK_BYTES``; the blocks of every engine must be the same.
        patience: When something takes too long.
    """

    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    block_bytes: int = BLOCK_BYTES
    patience: Patience = field(default_factory=Patience)
