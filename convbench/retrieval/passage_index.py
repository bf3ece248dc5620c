"""The passage index: the vectors of a collection, searchable exactly or approximately."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from convbench.backends.base import TextEncoder, Vectors
from convbench.config import Config
from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.io.digests import value_sha256
from convbench.meter import Meter
from convbench.retrieval.approximate import ApproximateSearcher, HNSWConfig, IVFPQConfig, SQ8Config
from convbench.retrieval.canonical import canonical
from convbench.retrieval.engines.base import engine_in_use
from convbench.retrieval.exact import ExactSearcher, Searcher
from convbench.retrieval.index_folder import IndexFolder
from convbench.retrieval.shards import SHARD_ROWS, Shards, Storage
from convbench.types import Ranking
from convbench.views.passages import PASSAGE_VIEW

VERSION = 3
_CHECKED = 8
"""One query in so many is searched exactly too, where the index is approximate."""


class ExactConfig(Config):
    """Every vector is compared."""

    type: Literal["exact"] = "exact"


class IndexConfig(Config):
    """How vectors are stored and searched.

    Attributes:
        storage: float16 halves the space (what it can do to an order: ``convbench.retrieval.shards``).
        index: ``exact``, ``hnsw``, ``ivf-pq`` or ``sq8``, with its settings.
    """

    storage: Storage = "float16"
    index: Annotated[ExactConfig | HNSWConfig | IVFPQConfig | SQ8Config, Field(discriminator="type")] = ExactConfig()


class PassageIndex:
    """The vectors of a store, searchable.

    Args:
        config: How they are stored and searched.
        shard_rows: Passages that are encoded before anything is written.
    """

    def __init__(self, config: IndexConfig, *, shard_rows: int = SHARD_ROWS) -> None:
        self._config = config
        self._shard_rows = shard_rows

    def describe(self) -> dict[str, Any]:
        """Everything that changes a ranking, the encoder and the passages apart."""
        index = self._config.index
        settings = index.model_dump() if isinstance(index, ExactConfig) else index.describe()
        return {"version": VERSION, "passages": PASSAGE_VIEW, "storage": self._config.storage, "index": settings}

    def open(self, store: PassageStore, encoder: TextEncoder, cache: Path, meter: Meter) -> None:
        """Opens the index of ``store`` under ``cache``; encodes and builds what is missing, as the meter's phase ``index``.

        Where that is done, and where is searched, is up to the engine in use (``convbench.retrieval.engines``).

        Raises:
            UsageError: A vector cannot be stored, or the approximate index does not fit the collection.
            StorageError: The index cannot be written; the same call goes on where it stopped.
        """
        index = self._config.index
        fitted = None if isinstance(index, ExactConfig) else index.fitted(len(store), encoder.dim)
        key = [VERSION, store.sha256, PASSAGE_VIEW, encoder.describe(), self._config.storage, self._shard_rows]
        folder = IndexFolder(cache / "dense" / value_sha256(key)[:32], cache)
        shards = Shards(folder, len(store), encoder.dim, self._config.storage, self._shard_rows)
        engine = engine_in_use()
        engine.build(shards, store, encoder, meter)
        self._store, self._dim = store, encoder.dim
        self._exact = ExactSearcher(shards, scan=engine.scan(shards))
        self._approximate = None if fitted is None else ApproximateSearcher(fitted, shards, meter)
        meter.index("dense", shards.bytes_on_disk + (self._approximate.bytes_on_disk if self._approximate else 0))

    def search(self, turn_ids: Sequence[str], vectors: Vectors, k: int, meter: Meter) -> list[Ranking]:
        """The k passages of the largest inner product with each query's vector.

        An approximate index is measured while it works: ``recall_found`` of ``recall_of`` passages that exact search returns for a fixed
        share of the queries, and the first of every call, go to the meter.

        Raises:
            UsageError: A vector is not finite or of another length than the passages'.
        """
        if not turn_ids:
            return []
        self._check(turn_ids, vectors)
        if self._approximate is None:
            return self._rankings(self._exact, turn_ids, vectors, k)
        rankings = self._rankings(self._approximate, turn_ids, vectors, k)
        checked = [number for number, turn_id in enumerate(turn_ids) if number == 0 or _is_checked(turn_id)]
        with meter.phase("recall"):  # apart from the search that is measured
            exact = self._rankings(self._exact, [turn_ids[number] for number in checked], vectors[checked], k)
            found = sum(len(_ids(rankings[number]) & _ids(ranking)) for number, ranking in zip(checked, exact, strict=True))
            meter.count(recall_found=found, recall_of=sum(len(ranking.passages) for ranking in exact))
        return rankings

    def _check(self, turn_ids: Sequence[str], vectors: Vectors) -> None:
        if vectors.shape != (len(turn_ids), self._dim):
            expected = f"{len(turn_ids)} of length {self._dim} as the passages'"
            raise UsageError(f"dense: {len(vectors)} query vectors of length {vectors.shape[1]}, expected {expected}")
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            turn_id = turn_ids[int(np.argmin(finite))]
            raise UsageError(f"turn {turn_id}: the query's vector is not finite; check the checkpoint and the precision it runs in")

    def _rankings(self, searcher: Searcher, turn_ids: Sequence[str], vectors: Vectors, k: int) -> list[Ranking]:
        found = searcher.nearest(np.ascontiguousarray(vectors, dtype=np.float32), k)
        return [
            canonical(turn_id, zip(self._store.ids(rows), scores.tolist(), strict=True), depth=k)
            for turn_id, (rows, scores) in zip(turn_ids, found, strict=True)
        ]


def _is_checked(turn_id: str) -> bool:
    return int(hashlib.sha256(turn_id.encode()).hexdigest(), 16) % _CHECKED == 0


def _ids(ranking: Ranking) -> set[str]:
    return {passage_id for passage_id, _ in ranking.passages}
