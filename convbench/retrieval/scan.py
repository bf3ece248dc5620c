"""A pass over the vectors of an index, block by block, with a running top k, so that memory does not grow with the collection."""

from __future__ import annotations

import math
import mmap
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from convbench.backends.base import Vectors
from convbench.retrieval.shards import ALIGNMENT, BLOCK_BYTES, Shards


class Top(NamedTuple):
    """The best of a part of the vectors, for each query.

    Attributes:
        scores: Shape (n, k), best first.
        rows: Shape (n, k); -1 where fewer than k were looked at.
    """

    scores: Vectors
    rows: npt.NDArray[np.int64]


class Scan(Protocol):
    """Compares queries with every vector of an index."""

    @property
    def longest(self) -> float:
        """Length of the longest vector; known after the first pass."""

    def top(self, vectors: Vectors, k: int) -> Top:
        """The k best of each query."""


def nothing(queries: int, k: int) -> Top:
    """What is known before anything was looked at."""
    return Top(np.full((queries, k), -np.inf, dtype=np.float32), np.full((queries, k), -1, dtype=np.int64))


def merged(earlier: Top, later: Top) -> Top:
    """The best of two parts that stand in this order.

    Equal scores are ordered by their places, so that it does not matter how parts are grouped: merging (a, b) with c is merging a with
    (b, c). A search that is spread over machines relies on it.
    """
    import faiss

    stacked = np.stack([earlier.scores, later.scores]), np.stack([earlier.rows, later.rows])
    return Top(*faiss.merge_knn_results(*stacked, keep_max=True))


class RunningBest:
    """``merged`` over the blocks of a pass, one after the other, in memory that is taken once and given back with the pass.

    Arrays of some MB that come and go with every block stay: glibc keeps what was freed of up to 32 MiB for the next ones, and whether the
    system ever gets it back depends on what has come to lie behind it. With them the memory of a search depended on the number of blocks.

    Args:
        queries: How many.
        k: How many of the best are kept of each.
    """

    def __init__(self, queries: int, k: int) -> None:
        both = (2, queries, k)  # the best so far, and those of a block
        self._both = Top(_apart(both, np.float32), _apart(both, np.int64))
        self.top = Top(_apart(both[1:], np.float32), _apart(both[1:], np.int64))
        self.top.scores.fill(-np.inf)
        self.top.rows.fill(-1)

    def add(self, vectors: Vectors, block: Vectors, start: int) -> None:
        """Compares with a block, by the kernel of ``IndexFlatIP``.

        Args:
            vectors: The queries', shape (n, dim); contiguous.
            block: Shape (m, dim); contiguous.
            start: The row of its first.
        """
        import faiss

        queries, k = self.top.rows.shape
        self._both.scores[0], self._both.rows[0] = self.top
        scores, rows = self._both.scores[1], self._both.rows[1]
        at = faiss.swig_ptr
        faiss.knn_inner_product(at(vectors), at(block), block.shape[1], queries, len(block), k, at(scores), at(rows))
        np.add(rows, start, out=rows, where=rows >= 0)
        faiss.merge_knn_results_CMax(queries, k, 2, at(self._both.scores), at(self._both.rows), at(self.top.scores), at(self.top.rows))


class BlockScan:
    """Compares with the vectors of a range of rows, in this process.

    One thread at a time may use it: the memory that vectors are read into is kept.

    Args:
        shards: The vectors.
        block_bytes: Memory for the block that is searched.
        rows: Which of them; None: all. They begin with a block.
        memory: What to read into, from ``shards.memory``; None: allocated with the first pass.
    """

    def __init__(self, shards: Shards, block_bytes: int = BLOCK_BYTES, *, rows: range | None = None, memory: Vectors | None = None) -> None:
        self._shards = shards
        self._block_bytes = block_bytes
        self._rows = rows
        self._block = memory  # kept: the system takes longer to hand out so much memory than to fill it
        self._square: float | None = None

    @property
    def longest(self) -> float:
        """Length of the longest vector; 0 before the first pass."""
        return float(self.square**0.5)

    @property
    def square(self) -> float:
        """Its square."""
        return self._square or 0.0

    def top(self, vectors: Vectors, k: int) -> Top:
        """The k best of each query, by the kernel of ``IndexFlatIP``; notes the longest vector's length."""
        best = RunningBest(len(vectors), k)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        squares: list[float] = []
        if self._block is None:
            self._block = self._shards.memory(self._block_bytes)
        for start, block in self._shards.blocks(self._block, self._rows):
            if self._square is None:
                squares.append(float(np.einsum("ij,ij->i", block, block).max()))
            best.add(vectors, _aligned(self._block, len(block)), start)
        if self._square is None:
            self._square = max(squares)
        return best.top


def _apart(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of zeros that the system gets back when nobody holds it any longer."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    array: npt.NDArray[Any] = np.ndarray(shape, dtype, buffer=mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    return array


def _aligned(memory: Vectors, filled: int) -> Vectors:
    """A block that is filled up with NaN, which is never found.

    Kernels sum the last rows of an odd block in another order, and copies of a passage would no longer tie.
    """
    end = -(-filled // ALIGNMENT) * ALIGNMENT
    memory[filled:end] = np.nan
    return memory[:end]
