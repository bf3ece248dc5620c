"""The protocol of engines, and the one that is in use.

An engine decides where work is done, never what comes of it, so it is no part of any key, configuration or specification. Retrievers do not
know of it either: it is ambient, as threads and progress bars are, and a retriever of somebody else's need not pass it on. The command line
puts one in place for a whole command (``using``), a passage index asks for it when it is opened (``engine_in_use``), and ``run.json`` says
which it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from convbench.backends.base import TextEncoder
from convbench.datasets.store import PassageStore
from convbench.meter import Meter
from convbench.retrieval.engines.local import LocalEngine
from convbench.retrieval.scan import Scan
from convbench.retrieval.shards import Shards


class Engine(Protocol):
    """Makes the shards of indexes, and passes over them."""

    def build(self, shards: Shards, store: PassageStore, encoder: TextEncoder, meter: Meter) -> None:
        """Encodes the shards that are missing or damaged, as ``convbench.retrieval.shard_build.build_shards`` does."""

    def scan(self, shards: Shards) -> Scan:
        """What passes over the vectors of an index whose shards are all there."""

    def take_record(self) -> dict[str, Any]:
        """What was done since the last call, for people: ``name``, and whatever tells how it went."""


_LOCAL = LocalEngine()
_engine: ContextVar[Engine] = ContextVar("engine", default=_LOCAL)


def engine_in_use() -> Engine:
    """The engine that was put in place; this process where none was."""
    return _engine.get()


@contextmanager
def using(engine: Engine) -> Iterator[None]:
    """Puts an engine in place for the block."""
    token = _engine.set(engine)
    try:
        yield
    finally:
        _engine.reset(token)
