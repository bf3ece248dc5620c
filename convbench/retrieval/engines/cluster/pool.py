"""Workers on a cluster, kept at a number: one that is lost is replaced as long as the cluster has room."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from convbench.retrieval.engines.cluster.failure import Failure
from convbench.retrieval.engines.cluster.flight import Worker
from convbench.retrieval.engines.cluster.record import Record

log = logging.getLogger(__name__)

_FAILED_STARTS = 3
"""Workers that were lost before they said hello, one after the other: then no more are started."""


class Pool:
    """Workers of one kind.

    Args:
        ray: The package.
        size: How many there may be.
        start: Starts one and returns its handle.
        hello: What it is greeted with.
        record: Where it is noted.
    """

    def __init__(self, ray: Any, size: int, start: Callable[[], Any], hello: tuple[Any, ...], record: Record) -> None:
        self._ray, self.size, self._start, self._hello, self._record = ray, size, start, hello, record
        self.workers: list[Worker] = []
        self.starting: dict[Any, tuple[int, Any]] = {}
        self._failed = 0
        self.why = ""

    @property
    def losses(self) -> tuple[type[Exception], ...]:
        """The errors that say that a worker, its node or what it returned is gone."""
        known = self._ray.exceptions
        return (known.RayActorError, known.WorkerCrashedError, known.NodeDiedError, known.ObjectLostError, known.OutOfMemoryError)

    @property
    def is_hopeless(self) -> bool:
        """Whether nobody works and nobody will."""
        return not self.workers and not self.starting and self._failed >= _FAILED_STARTS

    def fill(self, wanted: int) -> None:
        """Starts workers in slots that are empty, until there are as many as are wanted and may be."""
        taken = {worker.slot for worker in self.workers} | {slot for slot, _ in self.starting.values()}
        empty = sorted(set(range(self.size)) - taken)
        for slot in empty[: max(wanted - len(taken), 0)]:
            if self._failed < _FAILED_STARTS:
                handle = self._start()
                self.starting[handle.hello.remote(*self._hello)] = (slot, handle)

    def welcome(self, reference: Any) -> None:
        """Takes in a worker whose hello has arrived.

        Raises:
            ConvbenchError: It cannot work; the node is named.
        """
        slot, handle = self.starting.pop(reference)
        try:
            hello = self._ray.get(reference)
        except self.losses as error:
            self._failed += 1
            self._record.lost += 1
            self.why = reason(error)
            log.warning("a worker was lost while it started: %s", self.why)
            return
        if isinstance(hello, Failure):
            raise hello.error()
        self._failed = 0
        self._record.workers += 1
        self._record.nodes.add(hello.address)
        self.workers.append(Worker(slot, handle, hello))

    def lose(self, worker: Worker, why: str) -> None:
        """Gives a worker up, for good: one that cannot be reached, or hangs, may still be there."""
        if worker not in self.workers:
            return
        self.workers.remove(worker)
        self._record.lost += 1
        log.warning("node %s: worker %d was lost (%s); its work goes to another", worker.hello.address, worker.hello.pid, why)
        self._end(worker.handle)

    def close(self) -> None:
        """Ends every worker."""
        for handle in [*(worker.handle for worker in self.workers), *(handle for _, handle in self.starting.values())]:
            self._end(handle)
        self.workers, self.starting = [], {}

    def _end(self, handle: Any) -> None:
        with suppress(Exception):  # gone already, or the whole cluster is
            self._ray.kill(handle)


def reason(error: Exception) -> str:
    """The one line of Ray's text that says why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    chosen = next((line for line in lines if "because" in line or "exit" in line), lines[0] if lines else type(error).__name__)
    return chosen.partition(". ")[0][:200]
