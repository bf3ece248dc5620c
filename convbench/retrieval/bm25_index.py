"""An index that bm25s wrote, or could have written, searched by compiled code."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.errors import StorageError

_KEPT = 1 << 29
"""Bytes of mapped postings that the process holds on to between queries, about."""

_AROUND = 1 << 21
"""Bytes that may come with the first ones of a word: Linux maps neighbouring pages together, up to 2 MiB of them."""


class BM25Index:
    """Finds the best passages of a bag of words, with the scores of bm25s to the bit.

    Mapped postings that were read are let go when they may come to 512 MiB. The system keeps them in its page cache for as long as it has
    the memory, and gives them back at little cost; the process does not grow with the collection.

    Args:
        folder: Where ``bm25s.BM25.save`` or ``bm25_build`` wrote it. Compiled code checks no bounds: that the postings are those that were
            written is for the digests of the folder's manifest to tell, since looking at all of them takes minutes in a large collection.
        mapped: Read the postings where they lie on disk, rather than all of them into memory at once.

    Raises:
        StorageError: A file is cut, or the files do not belong together.
    """

    def __init__(self, folder: Path, *, mapped: bool = True) -> None:
        import bm25s

        try:
            index = bm25s.BM25.load(str(folder), mmap=mapped, load_vocab=False, show_progress=False, verbosity=0)
        except (OSError, ValueError, EOFError, KeyError) as error:  # numpy's and json's own, of a file that is cut
            raise _damaged(folder, str(error)) from None
        self.size: int = index.scores["num_docs"]
        self._weights = _plain(index.scores["data"], np.float32)
        self._passages = _plain(index.scores["indices"], np.int32)
        self._ends = _plain(index.scores["indptr"], np.int64)
        self._absent: npt.NDArray[np.float32] | None = index.nonoccurrence_array
        if fault := self._fault():
            raise _damaged(folder, fault)
        self._mappings = [found for array in (self._weights, self._passages) if (found := _mapping(array))]
        self._read = 0

    def best(self, words: Sequence[int], k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Rows and scores of every passage that scores above one with none of the words, and at least the k-th best score.

        All that share the k-th score stay in. A word that weighs nothing (so common that its idf is 0) finds no passage by itself.

        Args:
            words: Their numbers; a word that comes twice counts twice, one that no passage holds not at all.
            k: How many are wanted.
        """
        from convbench.retrieval.bm25_kernel import best_passages

        asked = np.array(words, dtype=np.int64)
        held = asked[asked < len(self._ends) - 1]  # the empty word of bm25s has a number and no postings
        if not len(held) or k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        found = best_passages(self._weights, self._passages, self._ends, self.size, held, self._of_no_word(held), min(k, self.size))
        self._let_go(8 * int((self._ends[held + 1] - self._ends[held]).sum()) + 2 * _AROUND * len(held))
        return found

    def _let_go(self, read: int) -> None:
        self._read += read
        if self._read > _KEPT:
            for mapping in self._mappings:
                mapping.madvise(mmap.MADV_DONTNEED)  # of a file's pages: nothing is lost
            self._read = 0

    def _fault(self) -> str | None:
        """What of the postings leads out of them, or None."""
        if not len(self._passages) == len(self._weights) == self._ends[-1]:
            return f"it has {len(self._passages)} passages and {len(self._weights)} weights for {self._ends[-1]} postings"
        if self._ends[0] != 0 or (np.diff(self._ends) < 0).any():
            return "the postings of its words are not in order"
        return None

    def _of_no_word(self, words: npt.NDArray[np.int64]) -> np.float32:
        """The score of a passage with none of the words: zero, but for BM25L and BM25+."""
        score: np.float32 = np.float32(0) if self._absent is None else self._absent[words].sum()
        return score


def _damaged(folder: Path, fault: str) -> StorageError:
    return StorageError(f"{folder}: a damaged BM25 index ({fault}); remove the folder, and it is built again")


def _plain(array: npt.NDArray[Any], kind: type[np.generic]) -> npt.NDArray[Any]:
    """A plain array that cannot be written to, mapped or not, so that one compiled loop serves both."""
    plain: npt.NDArray[Any] = np.asarray(array, dtype=kind).view()
    plain.flags.writeable = False
    return plain


def _mapping(array: npt.NDArray[Any]) -> mmap.mmap | None:
    """The mapped file that an array lies in, or None."""
    below: Any = array
    while isinstance(below, np.ndarray):
        below = below.base
    return below if isinstance(below, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None
