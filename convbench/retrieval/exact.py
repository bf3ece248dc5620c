"""Exact search: every vector is compared, by a pass over them all, and ties at the cut are looked for beyond it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from convbench.backends.base import Vectors
from convbench.retrieval.copies import ROUNDING, even_out
from convbench.retrieval.scan import BlockScan, Scan
from convbench.retrieval.shards import BLOCK_BYTES, Shards

_BEYOND = 32
"""How far beyond the cut to look for ties at first: looking again means reading everything again."""


class Neighbours(NamedTuple):
    """Passages found for one query.

    Attributes:
        rows: Row numbers of the store.
        scores: Inner products, best first.
    """

    rows: npt.NDArray[np.int64]
    scores: Vectors


class Searcher(Protocol):
    """Finds vectors with large inner products."""

    def nearest(self, vectors: Vectors, k: int) -> list[Neighbours]:
        """The k best of each query, fewer where fewer are found; more where the k-th score is shared."""


class ExactSearcher:
    """Compares with every vector; the same passages and scores as one ``faiss.IndexFlatIP`` over all.

    One thread at a time may search: the memory that vectors are read into is kept.

    Args:
        shards: The vectors.
        block_bytes: Memory for the block that is searched.
        scan: What passes over the vectors; None: this process.
    """

    def __init__(self, shards: Shards, block_bytes: int = BLOCK_BYTES, scan: Scan | None = None) -> None:
        self._shards = shards
        self._scan = scan or BlockScan(shards, block_bytes)

    def nearest(self, vectors: Vectors, k: int) -> list[Neighbours]:
        """At least the k best; looks deeper while the k-th score may be shared beyond the cut, for the tie rule to choose among all."""
        size = self._shards.size
        k = min(k, size)
        found: dict[int, Neighbours] = {}
        open_queries, depth = np.arange(len(vectors)), min(k + _BEYOND, size)
        while len(open_queries):
            asked = vectors[open_queries]
            scores, rows = self._scan.top(asked, depth)
            nearness = ROUNDING * self._scan.longest * np.linalg.norm(asked, axis=1).astype(np.float64)
            even_out(scores, rows, nearness, self._shards)
            settled = (scores[:, -1] < scores[:, k - 1] - nearness) | (depth == size)
            for number in np.flatnonzero(settled):
                found[int(open_queries[number])] = Neighbours(rows[number], scores[number])
            open_queries, depth = open_queries[~settled], min(4 * depth, size)
        return [found[number] for number in range(len(vectors))]
