"""What a cluster did, for ``run.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Tally:
    """What became of pieces of work of one kind.

    Attributes:
        done: Pieces that are done.
        redone: How often one was begun again, because its worker was lost or what it wrote did not arrive.
        twice: How often one that was slow was tried a second time elsewhere.
    """

    done: int = 0
    redone: int = 0
    twice: int = 0

    def take(self) -> dict[str, int]:
        """As plain values; begins anew."""
        taken = {"done": self.done, "redone": self.redone, "twice": self.twice}
        self.done = self.redone = self.twice = 0
        return taken


@dataclass(slots=True)
class Record:
    """What was done since it was taken.

    Attributes:
        nodes: Addresses of the nodes on which workers started.
        workers: Workers that started.
        lost: Workers that were lost.
        shards: Shards that were encoded.
        ranges: Ranges of blocks that were passed over, once for every batch of queries and depth.
    """

    nodes: set[str] = field(default_factory=set)
    workers: int = 0
    lost: int = 0
    shards: Tally = field(default_factory=Tally)
    ranges: Tally = field(default_factory=Tally)

    def take(self) -> dict[str, Any]:
        """As plain values; begins anew."""
        counts = {"workers": self.workers, "lost": self.lost, "shards": self.shards.take(), "ranges": self.ranges.take()}
        taken = {"nodes": sorted(self.nodes), **counts}
        self.nodes, self.workers, self.lost = set(), 0, 0
        return taken
