"""Pieces of work, and pieces that a worker has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from convbench.retrieval.engines.cluster.workers import Hello


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
class Worker:
    """A worker that said hello.

    Attributes:
        slot: Its number; one that replaces another takes it over.
        handle: Ray's handle.
        hello: Where it is.
        flights: What it was given and has not answered, in order.
    """

    slot: int
    handle: Any
    hello: Hello
    flights: list[Flight] = field(default_factory=list)

    def spent(self, now: float) -> float:
        """Seconds that it has been at the first of its pieces."""
        return now - (self.flights[0].began or now) if self.flights else 0.0


@dataclass(eq=False, slots=True)
class Flight:
    """A piece of work at a worker.

    Attributes:
        task: The piece.
        work: What it is a piece of.
        worker: Who has it.
        began: When nothing was before it at the worker any more; None: it waits there.
        told: After how many seconds it was last warned of.
    """

    task: Task
    work: Work
    worker: Worker
    began: float | None = None
    told: float = 0.0
