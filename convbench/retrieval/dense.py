"""Exact dense retrieval: passages encoded once into memory-mapped shards, searched shard by shard with a running top k."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from convbench.backends.base import TextEncoder, Vectors
from convbench.backends.encoder import EncoderProfile
from convbench.config import Config
from convbench.datasets.store import PassageStore
from convbench.io.atomic import atomic_path
from convbench.io.digests import value_sha256
from convbench.progress import progress_bar
from convbench.retrieval.base import Query
from convbench.retrieval.canonical import canonical
from convbench.types import Ranking
from convbench.views.passages import PASSAGE_VIEW, passage_text

VERSION = 2
Rows: TypeAlias = "npt.NDArray[np.int64]"
"""Row numbers of the store, shape (queries, k)."""

SHARD_ROWS = 8192
"""Passages a shard: the unit of resuming an interrupted encoding, and of memory in search."""


class DenseConfig(Config):
    """Dense retrieval with one encoder for queries and passages."""

    type: Literal["dense"] = "dense"
    encoder: EncoderProfile


class DenseRetriever:
    """Inner-product search over the whole collection; no approximation."""

    batch_size = 128

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder

    def describe(self) -> dict[str, Any]:
        """The encoder's description and how passages are written."""
        return {"type": "dense", "version": VERSION, "passages": PASSAGE_VIEW, "encoder": self._encoder.describe()}

    def index(self, store: PassageStore, cache: Path) -> None:
        """Encodes the shards that are missing under ``cache``; each appears whole or not at all."""
        self._store = store
        folder = cache / "dense" / value_sha256([store.sha256, self.describe(), SHARD_ROWS])[:32]
        starts = range(0, len(store), SHARD_ROWS)
        self._shards = [folder / f"shard-{number:05d}.npy" for number in range(len(starts))]
        missing = [(start, path) for start, path in zip(starts, self._shards, strict=True) if not path.exists()]
        done = len(store) - sum(min(SHARD_ROWS, len(store) - start) for start, _ in missing)
        with progress_bar("dense: encode passages", len(store), done=done, unit="passage") as advance:
            for start, path in missing:
                texts = [passage_text(passage) for passage in store.texts(start, start + SHARD_ROWS)]
                vectors = self._encoder.encode_passages(texts)
                with atomic_path(path) as temporary, temporary.open("wb") as handle:
                    np.save(handle, vectors)
                advance(len(texts))

    def search(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """The k nearest passages of each query by inner product."""
        vectors = self._encoder.encode_queries([text for _, text in queries])
        scores, rows = self._search(vectors, k)
        return [
            canonical(turn_id, zip(self._store.ids(rows[i]), scores[i].tolist(), strict=True), depth=k)
            for i, (turn_id, _) in enumerate(queries)
        ]

    def _search(self, vectors: Vectors, k: int) -> tuple[Vectors, Rows]:
        """At least the k best; looks deeper while the k-th score may be shared beyond the cut, for the tie rule to choose among all."""
        size = len(self._store)
        depth = min(k + 1, size)
        while True:
            scores, rows = search_shards(vectors, self._shards, depth)
            if depth == size or bool(np.all(scores[:, -1] < scores[:, k - 1])):
                return scores, rows
            depth = min(2 * depth, size)


def search_shards(queries: Vectors, shards: Sequence[Path], k: int) -> tuple[Vectors, Rows]:
    """The k largest inner products over all shards.

    ``faiss.knn`` is the kernel behind ``IndexFlatIP``; it reads the memory map, so that one shard at a time is in memory.

    Args:
        queries: Shape (n, dim).
        shards: ``.npy`` files of shape (rows, dim), rows numbered through in this order.
        k: At most the number of rows.

    Returns:
        Scores, shape (n, k), best first, and row numbers of the same shape.
    """
    import faiss

    scores = np.full((len(queries), 0), 0, dtype=np.float32)
    rows = np.full((len(queries), 0), 0, dtype=np.int64)
    offset = 0
    for path in shards:
        vectors = np.load(path, mmap_mode="r")
        found, local = faiss.knn(queries, vectors, min(k, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
        scores = np.concatenate([scores, found], axis=1)
        rows = np.concatenate([rows, local + offset], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, rows = np.take_along_axis(scores, best, axis=1), np.take_along_axis(rows, best, axis=1)
        offset += len(vectors)
    return scores, rows
