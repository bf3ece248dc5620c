"""The vectors of a collection on disk: memory-mapped ``.npy`` shards, read in blocks of bounded size.

Stored as float16, a vector takes half the space, and hardly any order changes. Rounding to nearest moves a value x of at most 65504 by
no more than max(2^-11 |x|, 2^-25) (half a unit in the last place; the second term is for values below 2^-14). The inner product of a query
q with a passage p therefore moves by at most::

    e(q, p) = sum_i |q_i| max(2^-11 |p_i|, 2^-25)

so two passages a and b with q.a - q.b > e(q, a) + e(q, b) stand in the same order under both storages. That is for exact sums. A sum in
float32 over d products is off by at most g(q, p) = d 2^-24 / (1 - d 2^-24) sum_i |q_i p_i|, in whatever order they are added (Higham,
Accuracy and Stability of Numerical Algorithms, 2002, section 3.1). Two computed scores are in the same order where the gap of the exact
ones exceeds e(q, a) + e(q, b) + g(q, a') + g(q, b'), a' and b' being the passages as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from convbench.backends.base import Vectors
from convbench.retrieval.index_folder import IndexFolder, Part

Storage = Literal["float16", "float32"]

SHARD_ROWS = 8192
"""Passages in a shard: the unit of resuming an interrupted encoding."""

BLOCK_BYTES = 256 << 20
"""Memory that a block of vectors takes while it is searched: for each block, every query's best are sorted out anew."""

ALIGNMENT = 1024
"""Rows of a block are a multiple of this where they can be: faiss multiplies so many passages at a time."""


class Shards:
    """The shards of one collection, in row order.

    Args:
        folder: Where they are.
        size: Vectors in all.
        dim: Length of a vector.
        storage: How a value is stored.
        shard_rows: Vectors in every shard but the last.
    """

    def __init__(self, folder: IndexFolder, size: int, dim: int, storage: Storage, shard_rows: int = SHARD_ROWS) -> None:
        self.folder = folder
        self.size = size
        self.dim = dim
        self.storage = storage
        self.shard_rows = shard_rows

    @cached_property
    def parts(self) -> list[Part]:
        """The shards' files."""
        starts = range(0, self.size, self.shard_rows)
        return [Part(f"shard-{number:05d}.npy", min(self.shard_rows, self.size - start), self.dim) for number, start in enumerate(starts)]

    def path(self, part: Part) -> Path:
        """Where a shard is."""
        return self.folder.path / part.name

    def fault(self, part: Part) -> str | None:
        """Why a shard cannot be used, or None: the manifest must vouch for it, and the file itself must have the right shape."""
        if fault := self.folder.fault(part):
            return fault
        shard = np.load(self.path(part), mmap_mode="r")
        if shard.shape != (part.rows, part.dim) or shard.dtype != self.storage:
            return f"it holds {shard.dtype} values of shape {shard.shape}, expected {self.storage} of shape {(part.rows, part.dim)}"
        return None

    @property
    def bytes_on_disk(self) -> int:
        """Size of the files together."""
        return sum(self.path(part).stat().st_size for part in self.parts)

    def take(self, rows: npt.NDArray[np.int64], values: int | None = None) -> npt.NDArray[Any]:
        """The vectors of ascending ``rows``, or the first values of each, as they are stored."""
        taken = np.empty((len(rows), min(values or self.dim, self.dim)), dtype=self.storage)
        numbers = rows // self.shard_rows
        for number in np.unique(numbers).tolist():
            chosen = slice(*np.searchsorted(numbers, [number, number + 1]))
            shard = np.load(self.path(self.parts[number]), mmap_mode="r")
            taken[chosen] = shard[rows[chosen] - number * self.shard_rows, : taken.shape[1]]
        return taken

    def memory(self, block_bytes: int = BLOCK_BYTES) -> Vectors:
        """Memory for ``blocks``: so many bytes, or a little more where that is less than ``ALIGNMENT`` vectors."""
        rows = max(block_bytes // (4 * self.dim) // ALIGNMENT, 1) * ALIGNMENT
        return np.empty((min(rows, -(-self.size // ALIGNMENT) * ALIGNMENT), self.dim), dtype=np.float32)

    def blocks(self, block: Vectors, rows: range | None = None) -> Iterator[tuple[int, Vectors]]:
        """The vectors in order as float32, whatever they are stored in; blocks reach across shards.

        Args:
            block: What to read into, from ``memory``.
            rows: Which of them; None: all. Where they begin with a block, the blocks are those of a pass over all.

        Yields:
            The first row's number and the vectors, which are overwritten by the next.
        """
        rows = rows if rows is not None else range(self.size)
        start, filled = rows.start, 0
        for number in range(rows.start // self.shard_rows, -(-rows.stop // self.shard_rows)):
            shard = np.load(self.path(self.parts[number]), mmap_mode="r")  # one at a time: every mapping keeps a file open
            first = number * self.shard_rows
            taken, end = max(rows.start - first, 0), min(rows.stop - first, len(shard))
            while taken < end:
                count = min(len(block) - filled, end - taken)
                block[filled : filled + count] = shard[taken : taken + count]
                taken, filled = taken + count, filled + count
                if filled == len(block):
                    yield start, block
                    start, filled = start + filled, 0
        if filled:
            yield start, block[:filled]
