"""The protocol of retrievers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from convbench.datasets.store import PassageStore
from convbench.meter import Meter
from convbench.types import Ranking
from convbench.views.query import Query


class Found(NamedTuple):
    """What a search found for one query.

    Attributes:
        ranking: The passages, in canonical order.
        tokens: Length of the query as it was sent to a model; None where there is no model.
        cut: Tokens of the query that did not fit.
    """

    ranking: Ranking
    tokens: int | None = None
    cut: int = 0


@runtime_checkable
class Retriever(Protocol):
    """Finds passages in a store.

    Attributes:
        batch_size: Queries searched together. A fixed partition of the turns into batches makes a resumed run equal to a whole one.
    """

    batch_size: int

    def describe(self) -> dict[str, Any]:
        """Everything that changes a ranking, the passages apart."""

    def index(self, store: PassageStore, cache: Path, meter: Meter) -> None:
        """Opens the index of ``store`` under ``cache``, building what is missing. Built once for one store and description.

        The sizes of models and indexes go to the meter; the building itself is its phase ``index``.
        """

    def check(self) -> None:
        """Makes sure, before any work and without loading anything large, that it can be used.

        Raises:
            ResourceError: A checkpoint cannot be had.
            UsageError: Settings contradict one another.
        """

    def search(self, queries: Sequence[Query], k: int, meter: Meter) -> list[Found]:
        """The k best passages of each query, in canonical order; fewer where fewer match.

        Encoding queries is the meter's phase ``encode``.
        """
