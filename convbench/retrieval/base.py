"""The protocol of retrievers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from convbench.datasets.store import PassageStore
from convbench.types import Ranking

Query = tuple[str, str]
"""(turn id, text)."""


@runtime_checkable
class Retriever(Protocol):
    """Finds passages in a store.

    Attributes:
        batch_size: Queries searched together. A fixed partition of the turns into batches makes a resumed run equal to a whole one.
    """

    batch_size: int

    def describe(self) -> dict[str, Any]:
        """Everything that changes a ranking, the passages apart."""

    def index(self, store: PassageStore, cache: Path) -> None:
        """Opens the index of ``store`` under ``cache``, building what is missing. Built once for one store and description."""

    def search(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """The k best passages of each query, in canonical order; fewer where fewer match."""
