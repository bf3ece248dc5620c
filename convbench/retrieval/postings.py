"""The inverted index of weighted words on disk: for every word the passages it weighs in, memory-mapped, in shards of passages.

A shard is a sparse matrix of scipy, words by passages, in three ``.npy`` files (row ends, passages, weights). A query is a sparse row; its
product with a shard goes through the postings of its own words and no others. Every sum is taken in the order of the words' ids, so that
equal passages get equal scores in whatever shard they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from convbench.retrieval.index_folder import IndexFolder, Part

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ARRAYS = ("ends", "passages", "weights")


class Matches(NamedTuple):
    """Passages that share a word with one query.

    Attributes:
        rows: Row numbers of the store, in no order.
        scores: Inner products, all above 0.
    """

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]


class Postings:
    """The shards of one collection.

    Args:
        folder: Where they are.
        size: Passages in all.
        vocabulary: Words that can weigh something.
        shard_rows: Passages in every shard but the last.
    """

    def __init__(self, folder: IndexFolder, size: int, vocabulary: int, shard_rows: int) -> None:
        self.folder = folder
        self.size = size
        self.vocabulary = vocabulary
        self.shard_rows = shard_rows

    @property
    def starts(self) -> range:
        """The first row of every shard."""
        return range(0, self.size, self.shard_rows)

    def parts(self, start: int) -> tuple[Part, ...]:
        """The files of the shard that begins with a row."""
        rows = min(self.shard_rows, self.size - start)
        return tuple(Part(f"shard-{start // self.shard_rows:05d}-{name}.npy", rows, self.vocabulary) for name in _ARRAYS)

    @property
    def bytes_on_disk(self) -> int:
        """Size of the files together."""
        return sum((self.folder.path / part.name).stat().st_size for start in self.starts for part in self.parts(start))

    def best(self, queries: csr_array, k: int) -> list[Matches]:
        """The k passages of the largest inner product with each query; fewer where fewer share a word, more where the k-th score is shared.

        Args:
            queries: Shape (queries, vocabulary), words in order.
            k: How many.
        """
        found = [Matches(np.empty(0, np.int64), np.empty(0, np.float32))] * queries.shape[0]
        for start in self.starts:
            products = queries @ self._shard(start)
            for number, (rows, scores) in enumerate(_rows_of(products)):
                found[number] = _top(found[number], Matches(rows.astype(np.int64) + start, scores), k)
        return found

    def _shard(self, start: int) -> csr_array:
        """Shape (vocabulary, passages), mapped and not read."""
        from scipy.sparse import csr_array

        parts = self.parts(start)
        ends, passages, weights = (np.load(self.folder.path / part.name, mmap_mode="r") for part in parts)
        return csr_array((weights, passages, ends), shape=(self.vocabulary, parts[0].rows))


def arrays_of(passages: csr_array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The three arrays of a shard.

    Args:
        passages: Shape (passages, vocabulary).
    """
    columns = passages.tocsc()
    columns.sort_indices()
    return columns.indptr.astype(np.int32), columns.indices.astype(np.int32), columns.data.astype(np.float32)


def not_finite(weights: csr_array) -> int | None:
    """The first row with a weight that is not finite."""
    finite = np.isfinite(weights.data)
    return None if finite.all() else int(np.searchsorted(weights.indptr, np.argmin(finite), side="right")) - 1


def _rows_of(matrix: csr_array) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]:
    for first, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        yield matrix.indices[first:end], matrix.data[first:end]


def _top(before: Matches, more: Matches, k: int) -> Matches:
    """The k best of both, and all that share the k-th score."""
    rows, scores = np.concatenate([before.rows, more.rows]), np.concatenate([before.scores, more.scores])
    if len(scores) <= k:
        return Matches(rows, scores)
    kept = scores >= np.partition(scores, -k)[-k]
    return Matches(rows[kept], scores[kept])
