"""Building a BM25 index: what bm25s builds, bit by bit, from arrays of word numbers instead of Python lists.

bm25s counts words with a dictionary for every passage and keeps the whole collection as lists of Python numbers while it does. Here
a block of passages becomes two arrays at once, and scores are computed for a block at a time with bm25s' own formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import bm25s

_PASSAGES = 10_000
"""Passages that are scored together."""


class Occurrences:
    """How often every word stands in every passage, gathered block by block."""

    def __init__(self) -> None:
        self._lengths: list[npt.NDArray[np.int64]] = []
        self._distinct: list[npt.NDArray[np.integer]] = []
        self._words: list[npt.NDArray[np.int32]] = []
        self._times: list[npt.NDArray[np.float32]] = []

    def add(self, passages: Sequence[Sequence[int]]) -> None:
        """Adds the next passages, each the numbers of its words in order."""
        from scipy.sparse import csr_array

        lengths = np.fromiter(map(len, passages), np.int64, len(passages))
        words = np.fromiter(chain.from_iterable(passages), np.int32, int(lengths.sum()))
        ends = np.concatenate([[0], np.cumsum(lengths)])
        counts = csr_array((np.ones(len(words), np.float32), words, ends), shape=(len(lengths), int(words.max(initial=0)) + 1))
        counts.sum_duplicates()
        self._lengths.append(lengths)
        self._distinct.append(np.diff(counts.indptr))
        self._words.append(counts.indices.astype(np.int32, copy=False))
        self._times.append(counts.data)

    def index(self, vocabulary: dict[str, int], *, k1: float, b: float, method: str) -> bm25s.BM25 | None:
        """The index; None where no passage holds a word. What was gathered is used up.

        Args:
            vocabulary: Word -> number, every number below its length once. Like bm25s, adds the empty word, which no passage holds.
            k1: How soon a word's repetitions count no more.
            b: How much a passage's length counts.
            method: The variant of BM25, as bm25s names it.
        """
        import bm25s

        lengths, ends, words, scores = self._taken()
        if not len(words):
            return None
        index = bm25s.BM25(k1=k1, b=b, method=method)
        held_by = np.bincount(words, minlength=len(vocabulary))
        idf, absent = _of_words(index, held_by, lengths)
        for part, passages in _parts(ends, lengths):
            found = _scores(index, scores[part], idf[words[part]], passages, lengths.mean())
            scores[part] = found if absent is None else found - absent[words[part]]
        index.nonoccurrence_array = absent
        index.scores = _by_word(words, scores, ends, len(vocabulary))
        if "" not in vocabulary:
            vocabulary[""] = max(vocabulary.values()) + 1
        index.vocab_dict = vocabulary
        index.unique_token_ids_set = set(vocabulary.values())
        return index

    def _taken(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Lengths and ends of the passages, words and how often they stand there; one list after the other goes, for memory's sake."""
        lengths = np.concatenate([np.empty(0, np.int64), *self._lengths])
        ends = np.cumsum(np.concatenate([np.zeros(1, np.int64), *self._distinct]))
        words = np.concatenate([np.empty(0, np.int32), *self._words])
        self._words.clear()
        times = np.concatenate([np.empty(0, np.float32), *self._times])
        self._times.clear()
        return lengths, ends, words, times


def _of_words(
    index: bm25s.BM25, held_by: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """Every word's inverse document frequency, and what bm25l and bm25+ give a passage without it.

    Args:
        index: Its settings.
        held_by: For every word, how many passages hold it.
        lengths: Of the passages.
    """
    from bm25s.scoring import _build_idf_array, _build_nonoccurrence_array, _select_idf_scorer, _select_tfc_scorer

    frequencies = dict(enumerate(held_by.tolist()))
    scorer = _select_idf_scorer(index.idf_method)
    idf = _build_idf_array(frequencies, len(lengths), scorer, dtype=index.dtype)
    if index.method not in index.methods_requiring_nonoccurrence:
        return idf, None
    mean = lengths.mean()
    settings = {"l_d": mean, "l_avg": mean, "k1": index.k1, "b": index.b, "delta": index.delta, "dtype": index.dtype}
    return idf, _build_nonoccurrence_array(frequencies, len(lengths), scorer, _select_tfc_scorer(index.method), **settings)


def _parts(ends: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> Iterator[tuple[slice, npt.NDArray[np.int64]]]:
    """Blocks of passages: where their words stand, and for each of these its passage's length."""
    for start in range(0, len(lengths), _PASSAGES):
        stop = min(start + _PASSAGES, len(lengths))
        yield slice(ends[start], ends[stop]), np.repeat(lengths[start:stop], np.diff(ends[start : stop + 1]))


def _scores(
    index: bm25s.BM25, times: npt.NDArray[np.float32], idf: npt.NDArray[np.float32], lengths: npt.NDArray[np.int64], mean: np.float64
) -> npt.NDArray[np.float64]:
    from bm25s.scoring import _select_tfc_scorer

    score = _select_tfc_scorer(index.method)
    scores: npt.NDArray[np.float64] = idf * score(tf_array=times, l_d=lengths, l_avg=mean, k1=index.k1, b=index.b, delta=index.delta)
    return scores


def _by_word(words: npt.NDArray[np.int32], scores: npt.NDArray[np.float32], ends: npt.NDArray[np.int64], vocabulary: int) -> dict[str, Any]:
    """The postings as bm25s keeps them: word after word, passages in order."""
    from scipy.sparse import csr_array

    narrow = ends.astype(np.int32) if ends[-1] <= np.iinfo(np.int32).max else ends  # scipy widens words to what ends have
    columns = csr_array((scores, words, narrow), shape=(len(ends) - 1, vocabulary)).tocsc()
    return {
        "data": columns.data,
        "indices": columns.indices.astype(np.int32, copy=False),
        "indptr": columns.indptr.astype(np.int64),
        "num_docs": len(ends) - 1,
    }
