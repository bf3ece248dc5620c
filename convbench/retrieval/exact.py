"""Exact search: every vector is compared, block by block, with a running top k, so that memory does not grow with the collection."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from convbench.backends.base import Vectors
from convbench.retrieval.copies import ROUNDING, even_out
from convbench.retrieval.shards import ALIGNMENT, BLOCK_BYTES, Shards

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
    """

    def __init__(self, shards: Shards, block_bytes: int = BLOCK_BYTES) -> None:
        self._shards = shards
        self._block_bytes = block_bytes
        self._block: Vectors | None = None  # kept: the system takes longer to hand out so much memory than to fill it
        self._longest: float | None = None

    def nearest(self, vectors: Vectors, k: int) -> list[Neighbours]:
        """At least the k best; looks deeper while the k-th score may be shared beyond the cut, for the tie rule to choose among all."""
        size = self._shards.size
        k = min(k, size)
        found: dict[int, Neighbours] = {}
        open_queries, depth = np.arange(len(vectors)), min(k + _BEYOND, size)
        while len(open_queries):
            asked = vectors[open_queries]
            scores, rows = self._top(asked, depth)
            nearness = ROUNDING * (self._longest or 0.0) * np.linalg.norm(asked, axis=1).astype(np.float64)
            even_out(scores, rows, nearness, self._shards)
            settled = (scores[:, -1] < scores[:, k - 1] - nearness) | (depth == size)
            for number in np.flatnonzero(settled):
                found[int(open_queries[number])] = Neighbours(rows[number], scores[number])
            open_queries, depth = open_queries[~settled], min(4 * depth, size)
        return [found[number] for number in range(len(vectors))]

    def _top(self, vectors: Vectors, k: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
        """Scores and rows of the k best, shape (n, k), by the kernel of ``IndexFlatIP``; notes the longest vector's length."""
        import faiss

        scores = np.full((len(vectors), k), -np.inf, dtype=np.float32)
        rows = np.full((len(vectors), k), -1, dtype=np.int64)
        squares: list[float] = []
        if self._block is None:
            self._block = self._shards.memory(self._block_bytes)
        for start, block in self._shards.blocks(self._block):
            if self._longest is None:
                squares.append(float(np.einsum("ij,ij->i", block, block).max()))
            block_scores, block_rows = faiss.knn(vectors, _aligned(self._block, len(block)), k, metric=faiss.METRIC_INNER_PRODUCT)
            block_rows[block_rows >= 0] += start
            scores, rows = faiss.merge_knn_results(np.stack([scores, block_scores]), np.stack([rows, block_rows]), keep_max=True)
        if self._longest is None:
            self._longest = max(squares) ** 0.5
        return scores, rows


def _aligned(memory: Vectors, filled: int) -> Vectors:
    """A block that is filled up with NaN, which is never found.

    Kernels sum the last rows of an odd block in another order, and copies of a passage would no longer tie.
    """
    end = -(-filled // ALIGNMENT) * ALIGNMENT
    memory[filled:end] = np.nan
    return memory[:end]
