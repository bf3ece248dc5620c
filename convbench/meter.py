"""What work costs: seconds, turns, tokens and forward passes by phase, and the size of what was loaded for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Meter:
    """Collects costs between two calls of ``take``.

    Phases nest, and a phase's seconds exclude those of the phases within it, so that the phases of a run add up to its time.
    """

    def __init__(self) -> None:
        self._phases: dict[str, Counter[str]] = {}
        self._seconds: dict[str, float] = {}
        self._models: dict[str, int] = {}
        self._indexes: dict[str, int] = {}
        self._agreements: dict[str, dict[str, Any]] = {}
        self._waiting: dict[Callable[[Meter], None], None] = {}
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def phase(self, name: str, *, turns: int = 0) -> Iterator[None]:
        """Times a phase; what is counted within goes to it.

        Args:
            name: ``encode``, ``search``, ``generate`` ...
            turns: Turns that it works on; those of a phase within one of the same name are the same turns, and count once.
        """
        self._pause()
        self._phases.setdefault(name, Counter())["turns"] += 0 if name in self._open else turns
        self._open.append(name)
        try:
            yield
        finally:
            self._pause()
            self._open.pop()

    def count(self, **counts: int) -> None:
        """Adds to the innermost open phase: ``forward_passes``, ``tokens_in``, ``tokens_out`` ...; without a phase nothing is counted."""
        if self._open:
            self._phases[self._open[-1]].update(counts)

    def model(self, name: str, parameters: int) -> None:
        """Notes a loaded model; one that serves two stages counts once."""
        self._models[name] = parameters

    def index(self, name: str, size: int) -> None:
        """Notes an index that was opened, in bytes."""
        self._indexes[name] = size

    def agreement(self, name: str, measured: Mapping[str, Any]) -> None:
        """Notes how far an approximate encoder agrees with the exact one."""
        self._agreements[name] = dict(measured)

    def at_the_end(self, work: Callable[[Meter], None]) -> None:
        """Notes measuring that waits for more to measure; noted twice it is done once."""
        self._waiting[work] = None

    def settle(self) -> None:
        """Does what waits: nothing more comes."""
        waiting, self._waiting = self._waiting, {}
        for work in waiting:
            work(self)

    def take(self) -> dict[str, Any]:
        """What was collected since the last call; empties the meter.

        Returns:
            ``phases`` (name -> ``seconds``, ``turns`` and whatever was counted), ``models`` (name -> parameters) and ``indexes``
            (name -> bytes); where an encoder was approximate also ``agreements`` (name -> what was measured).
        """
        phases = {name: {"seconds": round(self._seconds.get(name, 0.0), 6), **counts} for name, counts in self._phases.items()}
        taken: dict[str, Any] = {"phases": phases, "models": self._models, "indexes": self._indexes}
        if self._agreements:
            taken["agreements"], self._agreements = self._agreements, {}
        self._phases, self._seconds, self._models, self._indexes = {}, {}, {}, {}
        return taken

    def _pause(self) -> None:
        """Gives the time since the last change to the innermost open phase."""
        now = time.perf_counter()
        if self._open:
            self._seconds[self._open[-1]] = self._seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now
