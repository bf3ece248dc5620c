"""The engine of one process."""

from __future__ import annotations

from typing import Any

from convbench.backends.base import TextEncoder
from convbench.datasets.store import PassageStore
from convbench.meter import Meter
from convbench.retrieval.scan import BlockScan, Scan
from convbench.retrieval.shard_build import build_shards
from convbench.retrieval.shards import Shards


class LocalEngine:
    """Does everything in this process."""

    def build(self, shards: Shards, store: PassageStore, encoder: TextEncoder, meter: Meter) -> None:
        """Encodes the missing shards one after the other."""
        build_shards(shards, store, encoder, meter)

    def scan(self, shards: Shards) -> Scan:
        """A pass over all blocks."""
        return BlockScan(shards)

    def take_record(self) -> dict[str, Any]:
        """Its name."""
        return {"name": "local"}
