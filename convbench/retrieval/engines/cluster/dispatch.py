"""Giving work to a pool's workers: never too much at once, again where a worker is lost, twice where one is slow."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from convbench.errors import ResourceError
from convbench.retrieval.engines.cluster.failure import Failure
from convbench.retrieval.engines.cluster.pool import Pool, Worker, reason
from convbench.retrieval.engines.cluster.record import Tally
from convbench.retrieval.engines.cluster.settings import Patience

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
"""How often to look for work that is slow while nothing arrives."""


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """A piece of work.

    Attributes:
        name: For messages.
        number: Its place among the others.
        home: The slot of the worker that had better do it, which has read what it needs before; None: any.
    """

    name: str
    number: int
    home: int | None = None


class Work(Protocol):
    """What the pieces are pieces of."""

    def submit(self, handle: Any, task: Task) -> Any:
        """Gives a piece to a worker; returns Ray's reference of the result."""

    def take(self, task: Task, result: Any) -> str | None:
        """Takes a result; where it cannot be used, says why."""

    def drop(self, result: Any) -> None:
        """Throws away a result that came second."""


@dataclass(eq=False, slots=True)
class Flight:
    """A piece of work at a worker.

    Attributes:
        task: The piece.
        work: What it is a piece of.
        worker: Who has it.
        began: When nothing was before it at the worker any more; None: it waits there.
        is_slow: Whether it was warned of.
    """

    task: Task
    work: Work
    worker: Worker
    began: float | None = None
    is_slow: bool = False


class Dispatch:
    """Gives work to the workers of one pool.

    Args:
        ray: The package.
        pool: The workers.
        patience: When something takes too long.
    """

    def __init__(self, ray: Any, pool: Pool, patience: Patience) -> None:
        self._ray, self._pool, self._patience = ray, pool, patience
        self._flights: dict[Any, Flight] = {}
        self._nobody_since: float | None = None
        self._slow = 0

    def run(self, tasks: Sequence[Task], work: Work, tally: Tally, *, ahead: int = 1) -> None:
        """Does every task once.

        Args:
            tasks: What to do.
            work: What they are pieces of.
            tally: Where it is noted what became of them.
            ahead: Pieces that a worker is given at most; more than one only while there is more to do than there are workers.

        Raises:
            ConvbenchError: A worker met with an error that is the user's to act on.
            ResourceError: A piece lost its worker too often, no worker starts, or the cluster itself failed.
        """
        known = self._ray.exceptions
        try:
            self._run(tasks, work, tally, ahead)
        except known.RayTaskError as error:
            if isinstance(error.cause, known.RaySystemError):  # what a worker is sent is of a module that it does not have
                raise ResourceError(
                    f"a worker cannot read what it was sent: {reason(error.cause)}; install the same software on every node"
                ) from error
            raise  # a fault of the program, on a worker
        except known.RayError as error:
            raise ResourceError(f"the Ray cluster failed: {reason(error)}; finished work is kept: the same command goes on") from error

    def _run(self, tasks: Sequence[Task], work: Work, tally: Tally, ahead: int) -> None:
        queue, left = deque(tasks), set(tasks)
        attempts: Counter[Task] = Counter()
        seconds: list[float] = []
        while left:
            self._pool.fill(len(left) + self._slow)  # somebody must be free for what is slow
            self._hand_out(queue, work, ahead)
            self._try_slow_ones_twice(queue, left, tally, seconds)
            for reference in self._arrived():
                if reference in self._pool.starting:
                    self._pool.welcome(reference)
                    continue
                flight = self._flights.pop(reference)
                fault = self._land(reference, flight, left, tally, seconds)
                if fault and flight.task in left and not self._is_elsewhere(flight.task):
                    if flight.began is not None:
                        self._count_attempt(flight, attempts, tally, fault)
                    queue.appendleft(flight.task)

    def _arrived(self) -> list[Any]:
        """What has an answer, after a wait that is short where there is none.

        Raises:
            ResourceError: Nobody works, and that for too long.
        """
        self._check_somebody_works()
        waiting = [*self._pool.starting, *self._flights]
        if not waiting:
            return []
        ready, _ = self._ray.wait(waiting, num_returns=1, timeout=_LOOK_SECONDS)
        return list(ready)

    def _land(self, reference: Any, flight: Flight, left: set[Task], tally: Tally, seconds: list[float]) -> str | None:
        """Takes an answer; returns why there is none that can be used."""
        flights, now = flight.worker.flights, time.monotonic()
        flights.remove(flight)  # first of all: the worker is free, whatever the answer is
        try:
            result = self._ray.get(reference)
        except self._pool.losses as error:
            self._pool.lose(flight.worker, error)
            return reason(error)
        except self._ray.exceptions.RayTaskError:
            if flight.task in left:
                raise
            return None  # nobody waits for it any more
        if flights and flights[0].began is None:
            flights[0].began = now
        if isinstance(result, Failure):
            if flight.task in left:
                raise result.error()
        elif flight.task not in left:
            flight.work.drop(result)
        elif fault := flight.work.take(flight.task, result):
            log.warning("%s: %s: made again", flight.task.name, fault)
            return fault
        else:
            left.remove(flight.task)
            tally.done += 1
            seconds.append(now - (flight.began or now))
        return None

    def _count_attempt(self, flight: Flight, attempts: Counter[Task], tally: Tally, fault: str) -> None:
        attempts[flight.task] += 1
        if attempts[flight.task] >= self._patience.attempts:
            raise ResourceError(
                f"{flight.task.name}: given up after {self._patience.attempts} tries, the last one on node "
                f"{flight.worker.hello.address} ({fault}); is there memory enough? Finished work is kept: the same command goes on"
            )
        tally.redone += 1

    def _hand_out(self, queue: deque[Task], work: Work, ahead: int) -> None:
        """Gives every worker one task, its own where there is one, before any gets another."""
        for depth in range(ahead):
            if depth and len(queue) <= len(self._pool.workers):
                return  # near the end nothing waits at one worker while another has nothing to do
            free = [worker for worker in self._pool.workers if len(worker.flights) == depth]
            for worker in free:
                if own := next((task for task in queue if task.home == worker.slot), None):
                    queue.remove(own)
                    self._send(own, work, worker)
            for worker in free:
                if queue and len(worker.flights) == depth:
                    self._send(queue.popleft(), work, worker)

    def _send(self, task: Task, work: Work, worker: Worker) -> None:
        flight = Flight(task, work, worker, None if worker.flights else time.monotonic())
        worker.flights.append(flight)
        self._flights[work.submit(worker.handle, task)] = flight

    def _try_slow_ones_twice(self, queue: deque[Task], left: set[Task], tally: Tally, seconds: list[float]) -> None:
        self._slow = 0
        if not seconds:
            return
        limit, now = max(self._patience.slow * median(seconds), self._patience.slow_seconds), time.monotonic()
        for worker in list(self._pool.workers):
            spent = now - (worker.flights[0].began or now) if worker.flights else 0
            if spent <= limit:
                continue
            self._slow += 1
            for flight in [flight for flight in worker.flights if flight.task in left]:  # what waits behind a slow one is late as well
                if flight.began is not None and not flight.is_slow:
                    flight.is_slow = True
                    where = worker.hello.address
                    log.warning("%s takes long on node %s: %.0f s, the median is %.1f s", flight.task.name, where, spent, median(seconds))
                if not queue and not self._is_elsewhere(flight.task, flight) and (idle := self._idle(worker.hello.node)):
                    tally.twice += flight.began is not None
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
