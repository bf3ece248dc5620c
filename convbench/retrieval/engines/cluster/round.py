"""What is left of the work that one call was given, and when a piece of it takes too long."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from statistics import median

from convbench.errors import ResourceError
from convbench.retrieval.engines.cluster.flight import Flight, Task, Work
from convbench.retrieval.engines.cluster.record import Tally
from convbench.retrieval.engines.cluster.settings import Patience


class Round:
    """The pieces of one call.

    Args:
        tasks: The pieces.
        work: What they are pieces of.
        tally: Where it is noted what becomes of them.
        patience: When something takes too long.
    """

    def __init__(self, tasks: Sequence[Task], work: Work, tally: Tally, patience: Patience) -> None:
        self.queue, self.left = deque(tasks), set(tasks)
        self.work, self.tally = work, tally
        self._patience = patience
        self._attempts: Counter[Task] = Counter()
        self._seconds: list[float] = []

    @property
    def slow_seconds(self) -> float:
        """A piece that takes longer is slow: it is named, and tried a second time where a worker is free."""
        patience = self._patience
        return max(patience.slow * median(self._seconds), patience.slow_seconds) if self._seconds else patience.first_seconds / 4

    @property
    def hung_seconds(self) -> float:
        """A worker that takes longer hangs: it is ended, and what it had is done again."""
        patience = self._patience
        return max(patience.hung * median(self._seconds), patience.hung_seconds) if self._seconds else patience.first_seconds

    @property
    def pace(self) -> str:
        """How long pieces take, for messages."""
        return f"the median is {median(self._seconds):.1f} s" if self._seconds else "nothing is done yet"

    def is_suspect(self, task: Task) -> bool:
        """Whether a worker was lost over it, or over what it had finished just before: only alone can it be told."""
        return task in self._attempts

    def done(self, task: Task, seconds: float) -> None:
        """A piece is done."""
        self.left.remove(task)
        self.tally.done += 1
        self._seconds.append(seconds)

    def again(self, flight: Flight, fault: str) -> None:
        """A piece has to be begun again.

        Args:
            flight: The one that came to nothing.
            fault: Why.

        Raises:
            ResourceError: It did so too often.
        """
        if flight.began is not None:
            self._attempts[flight.task] += 1
            if self._attempts[flight.task] >= self._patience.attempts:
                raise ResourceError(
                    f"{flight.task.name}: given up after {self._patience.attempts} tries, the last one on node "
                    f"{flight.worker.hello.address} ({fault}); is there memory enough? Finished work is kept: the same command goes on"
                )
            self.tally.redone += 1
        self.queue.appendleft(flight.task)
