"""An index that bm25s wrote, searched by compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class BM25Index:
    """Finds the best passages of a bag of words, with the scores of bm25s to the bit.

    Args:
        folder: Where ``bm25s.BM25.save`` wrote it.
        mapped: Read the postings where they lie on disk, rather than all of them into memory at once.
    """

    def __init__(self, folder: Path, *, mapped: bool = True) -> None:
        import bm25s

        index = bm25s.BM25.load(str(folder), mmap=mapped, load_vocab=False, show_progress=False, verbosity=0)
        self.size: int = index.scores["num_docs"]
        self._weights = _plain(index.scores["data"], np.float32)
        self._passages = _plain(index.scores["indices"], np.int32)
        self._ends = _plain(index.scores["indptr"], np.int64)
        self._absent: npt.NDArray[np.float32] | None = index.nonoccurrence_array

    def best(self, words: Sequence[int], k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Rows and scores of every passage with one of the words and at least the k-th best score: all that share it stay in.

        Args:
            words: Their numbers; a word that comes twice counts twice, one that no passage holds not at all.
            k: How many are wanted.
        """
        from convbench.retrieval.bm25_kernel import best

        asked = np.array(words, dtype=np.int64)
        held = asked[asked < len(self._ends) - 1]  # the empty word of bm25s has a number and no postings
        if not len(held) or k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        return best(self._weights, self._passages, self._ends, self.size, held, self._of_no_word(held), min(k, self.size))

    def _of_no_word(self, words: npt.NDArray[np.int64]) -> np.float32:
        """The score of a passage with none of the words: zero, but for BM25L and BM25+."""
        score: np.float32 = np.float32(0) if self._absent is None else self._absent[words].sum()
        return score


def _plain(array: npt.NDArray[Any], kind: type[np.generic]) -> npt.NDArray[Any]:
    """A plain array that cannot be written to, mapped or not, so that one compiled loop serves both."""
    plain: npt.NDArray[Any] = np.asarray(array, dtype=kind).view()
    plain.flags.writeable = False
    return plain
