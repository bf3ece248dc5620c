"""The scores of BM25 by bm25s' own formulas, for many postings at once and with the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import bm25s

_TOGETHER = 1 << 18
"""Postings or words that are computed together: formulas make several float64 arrays of that length."""


class Scores:
    """What a posting adds to its passage's score.

    Args:
        index: Its settings.
        held_by: For every word, how many passages hold it.
        lengths: Words of every passage.

    Attributes:
        lengths: As given.
        absent: For every word, what bm25l and bm25+ give a passage without it; None for the other methods.
    """

    def __init__(self, index: bm25s.BM25, held_by: npt.NDArray[np.int64], lengths: npt.NDArray[np.int32]) -> None:
        from bm25s.scoring import _select_tfc_scorer

        self._formula = _select_tfc_scorer(index.method)
        self._settings = {"l_avg": lengths.mean(dtype=np.float64), "k1": index.k1, "b": index.b, "delta": index.delta}
        self._held_by, self.lengths = held_by, lengths
        self._idf, self.absent = self._of_words(index)

    def of(
        self, first: int, stop: int, passages: npt.NDArray[np.int32], times: npt.NDArray[np.unsignedinteger[Any]]
    ) -> npt.NDArray[np.float32]:
        """Scores of the postings of the words from ``first`` up to ``stop``, word after word; of a single word they may be only some.

        Args:
            first: Number of a word.
            stop: Number of a word.
            passages: Their passages.
            times: How often each holds the word.
        """
        scores = np.empty(len(passages), np.float32)
        ends = np.cumsum(self._held_by[first:stop])
        for start in range(0, len(passages), _TOGETHER):
            part = slice(start, min(start + _TOGETHER, len(passages)))
            words = first + _owners(ends, part.start, part.stop)
            counted, lengths = times[part].astype(np.float32), self.lengths[passages[part]].astype(np.int64)
            found = self._idf[words] * self._formula(tf_array=counted, l_d=lengths, **self._settings)
            scores[part] = found if self.absent is None else found - self.absent[words]
        return scores

    def _of_words(self, index: bm25s.BM25) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Every word's inverse document frequency, and the scores of passages without it."""
        from bm25s.scoring import _build_idf_array, _build_nonoccurrence_array, _select_idf_scorer

        weigh, size = _select_idf_scorer(index.idf_method), len(self.lengths)
        settings = {**self._settings, "l_d": self._settings["l_avg"]}
        idf, absent = [], []
        for start in range(0, len(self._held_by), _TOGETHER):
            frequencies = dict(enumerate(self._held_by[start : start + _TOGETHER].tolist()))
            idf.append(_build_idf_array(frequencies, size, weigh, dtype=index.dtype))
            if index.method in index.methods_requiring_nonoccurrence:
                absent.append(_build_nonoccurrence_array(frequencies, size, weigh, self._formula, dtype=index.dtype, **settings))
        return np.concatenate(idf), np.concatenate(absent) if absent else None


def _owners(ends: npt.NDArray[np.int64], start: int, stop: int) -> npt.NDArray[np.int64]:
    """For every place from ``start`` up to ``stop`` the number of the run that it stands in; the n-th run ends before ``ends[n]``."""
    low, high = np.searchsorted(ends, [start, stop - 1], side="right").tolist()
    return np.repeat(np.arange(low, high + 1), np.diff(np.minimum(ends[low : high + 1], stop), prepend=start))
