"""Giving work to a pool's workers: never too much at once, again where a worker is lost or hangs, twice where one is slow."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from convbench.errors import ResourceError
from convbench.retrieval.engines.cluster.failure import Failure
from convbench.retrieval.engines.cluster.flight import Flight, Task, Work, Worker
from convbench.retrieval.engines.cluster.head import Head
from convbench.retrieval.engines.cluster.pool import Pool, reason
from convbench.retrieval.engines.cluster.record import Tally
from convbench.retrieval.engines.cluster.round import Round
from convbench.retrieval.engines.cluster.settings import Patience

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
"""How often to look for work that is slow while nothing arrives."""


class Dispatch:
    """Gives work to the workers of one pool.

    Args:
        ray: The package.
        pool: The workers.
        head: The head of the cluster.
        patience: When something takes too long.
    """

    def __init__(self, ray: Any, pool: Pool, head: Head, patience: Patience) -> None:
        self._ray, self._pool, self._head, self._patience = ray, pool, head, patience
        self._flights: dict[Any, Flight] = {}
        self._nobody_since: float | None = None
        self._late = 0

    def run(self, tasks: Sequence[Task], work: Work, tally: Tally, *, ahead: int = 1) -> None:
        """Does every task once.

        Args:
            tasks: What to do.
            work: What they are pieces of.
            tally: Where it is noted what became of them.
            ahead: Pieces that a worker is given at most; more than one only while there is more to do than there are workers.

        Raises:
            ConvbenchError: A worker met with an error that is the user's to act on.
            ResourceError: A piece lost its worker too often, no worker starts, or the cluster itself or its head failed.
        """
        known = self._ray.exceptions
        try:
            self._run(Round(tasks, work, tally, self._patience), ahead)
        except known.RayTaskError as error:
            if isinstance(error.cause, known.RaySystemError):  # what a worker is sent is of a module that it does not have
                raise ResourceError(
                    f"a worker cannot read what it was sent: {reason(error.cause)}; install the same software on every node"
                ) from error
            raise  # a fault of the program, on a worker
        except known.RayError as error:
            raise ResourceError(f"the Ray cluster failed: {reason(error)}; finished work is kept: the same command goes on") from error

    def _run(self, given: Round, ahead: int) -> None:
        while given.left:
            self._look_at_late_ones(given)
            self._pool.fill(len(given.left) + self._late)  # somebody must be free for what is late
            self._hand_out(given, ahead)
            for reference in self._arrived():
                if reference in self._pool.starting:
                    self._pool.welcome(reference)
                    continue
                flight = self._flights.pop(reference)
                if fault := self._land(reference, flight, given):
                    self._begin_again(flight, given, fault)

    def _arrived(self) -> list[Any]:
        """What has an answer, after a wait that is short where there is none.

        Raises:
            ResourceError: Nobody works, and that for too long, or the head is lost.
        """
        self._head.look()
        self._check_somebody_works()
        waiting = [*self._pool.starting, *self._flights]
        if not waiting:
            return []
        ready, _ = self._ray.wait(waiting, num_returns=1, timeout=_LOOK_SECONDS)
        return list(ready)

    def _land(self, reference: Any, flight: Flight, given: Round) -> str | None:
        """Takes an answer; returns why there is none that can be used."""
        flights, now = flight.worker.flights, time.monotonic()
        flights.remove(flight)  # first of all: the worker is free, whatever the answer is
        try:
            result = self._ray.get(reference)
        except self._pool.losses as error:
            self._pool.lose(flight.worker, reason(error))
            return reason(error)
        except self._ray.exceptions.RayTaskError:
            if flight.task in given.left:
                raise
            return None  # nobody waits for it any more
        if flights and flights[0].began is None:
            flights[0].began = now
        if isinstance(result, Failure):
            if flight.task in given.left:
                raise result.error()
        elif flight.task not in given.left:
            flight.work.drop(result)
        elif fault := flight.work.take(flight.task, result):
            log.warning("%s: %s: made again", flight.task.name, fault)
            return fault
        else:
            given.done(flight.task, now - (flight.began or now))
        return None

    def _begin_again(self, flight: Flight, given: Round, fault: str) -> None:
        if flight.task in given.left and not self._is_elsewhere(flight.task):
            given.again(flight, fault)

    def _hand_out(self, given: Round, ahead: int) -> None:
        """Gives every worker one task, its own where there is one, before any gets another; one that is suspect is alone at its worker."""
        queue = given.queue
        for depth in range(ahead):
            if depth and len(queue) <= len(self._pool.workers):
                return  # near the end nothing waits at one worker while another has nothing to do
            free = [worker for worker in self._pool.workers if len(worker.flights) == depth]
            if depth:
                free = [worker for worker in free if not given.is_suspect(worker.flights[0].task)]
            for worker in free:
                if own := next((task for task in queue if task.home == worker.slot), None):
                    queue.remove(own)
                    self._send(own, given.work, worker)
            for worker in free:
                if queue and len(worker.flights) == depth and not (depth and given.is_suspect(queue[0])):
                    self._send(queue.popleft(), given.work, worker)

    def _send(self, task: Task, work: Work, worker: Worker) -> None:
        flight = Flight(task, work, worker, None if worker.flights else time.monotonic())
        worker.flights.append(flight)
        self._flights[work.submit(worker.handle, task)] = flight

    def _look_at_late_ones(self, given: Round) -> None:
        self._late = 0
        slow, hung, now = given.slow_seconds, given.hung_seconds, time.monotonic()
        for worker in list(self._pool.workers):
            spent = worker.spent(now)
            if spent > hung:
                name = worker.flights[0].task.name
                self._end_hung(worker, given, f"{name} is not done after {spent:.0f} s; --hung-after gives it longer")
            elif spent > slow:
                self._late += 1
                self._try_elsewhere(worker, given, spent)

    def _end_hung(self, worker: Worker, given: Round, why: str) -> None:
        """Ends a worker that hangs; its answers, should there be any, are not waited for."""
        self._pool.lose(worker, why)
        taken = {reference: flight for reference, flight in self._flights.items() if flight.worker is worker}
        for reference in taken:
            del self._flights[reference]
        for flight in taken.values():
            self._begin_again(flight, given, why)

    def _try_elsewhere(self, worker: Worker, given: Round, spent: float) -> None:
        """Gives what a slow worker has to another that has nothing to do; what waits behind the slow piece is late as well."""
        for flight in [flight for flight in worker.flights if flight.task in given.left]:
            if flight.began is not None and spent >= 2 * flight.told:
                flight.told = spent
                where, pid = worker.hello.address, worker.hello.pid
                log.warning("%s takes long on node %s, worker %d: %.0f s, %s", flight.task.name, where, pid, spent, given.pace)
            if not given.queue and not self._is_elsewhere(flight.task, flight) and (idle := self._idle(worker.hello.node)):
                given.tally.twice += flight.began is not None
                self._send(flight.task, flight.work, idle)

    def _idle(self, node: str) -> Worker | None:
        """A worker that has nothing to do, on another node than this where there is one."""
        idle = [worker for worker in self._pool.workers if not worker.flights]
        return min(idle, key=lambda worker: worker.hello.node == node, default=None)

    def _is_elsewhere(self, task: Task, but: Flight | None = None) -> bool:
        return any(flight.task is task for flight in self._flights.values() if flight is not but)

    def _check_somebody_works(self) -> None:
        if self._pool.workers:
            self._nobody_since = None
            return
        now = time.monotonic()
        self._nobody_since = self._nobody_since or now
        if self._pool.is_hopeless or now - self._nobody_since > self._patience.start_seconds:
            has = {name: amount for name, amount in self._ray.available_resources().items() if name in ("CPU", "GPU", "memory")}
            why = f" ({self._pool.why})" if self._pool.why else ""
            raise ResourceError(
                f"no worker starts on the cluster{why}; what is free there: {has}; give it nodes, lower --gpus-per-worker, "
                "or set OMP_NUM_THREADS to the processors that a worker may have"
            )
