"""A cluster that was reached: pools of workers on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from convbench.errors import ResourceError
from convbench.retrieval.engines.cluster.dispatch import Dispatch
from convbench.retrieval.engines.cluster.head import Head
from convbench.retrieval.engines.cluster.nodes import Node, alive
from convbench.retrieval.engines.cluster.pool import Pool
from convbench.retrieval.engines.cluster.record import Record
from convbench.retrieval.engines.cluster.settings import ClusterSettings


@dataclass(slots=True)
class Cluster:
    """A cluster and what was done on it.

    Attributes:
        ray: The package, connected.
        head: Its head.
        settings: What is asked of it.
        record: What was done.
    """

    ray: Any
    head: Head
    settings: ClusterSettings
    record: Record = field(default_factory=Record)

    def pool(self, actor: type, hello: tuple[Any, ...], *, threads: int, gpus: float = 0) -> tuple[Pool, Dispatch]:
        """Starts workers, spread over the nodes.

        Args:
            actor: Their class.
            hello: What each is greeted with.
            threads: Threads that each computes with.
            gpus: GPUs of each.

        Raises:
            ResourceError: No node has room for one, or the head is lost.
        """
        self.head.await_it()
        nodes = alive(self.ray)
        cpus = 1.0 if gpus else float(min(threads, max((int(node.cpus) for node in nodes), default=1)))
        size = self.settings.workers or room(nodes, cpus, gpus)
        if not size:
            has = ", ".join(f"{node.address}: {node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in nodes) or "none with processors"
            raise ResourceError(f"no node has room for a worker of {cpus:g} CPUs and {gpus:g} GPUs; nodes: {has}")
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        remote = self.ray.remote(actor).options(**options)
        pool = Pool(self.ray, size, remote.remote, hello, self.record)
        return pool, Dispatch(self.ray, pool, self.head, self.settings.patience)


def room(nodes: list[Node], cpus: float, gpus: float) -> int:
    """How many workers of so many processors and GPUs the nodes take."""
    each = [min(node.cpus // cpus, node.gpus // gpus if gpus else float("inf")) for node in nodes]
    return int(sum(each))
