"""The best passages of a bag of words. Compiled by numba: only ``convbench.retrieval.bm25_index`` imports this, when it searches.

Postings are read where they lie, mapped or not, for a block of passages at a time, so that the block's scores stay in the processor's
cache and memory does not grow with the collection. A passage's score is summed in the order of the query's words, in float32, as bm25s
does, to the bit.
"""

from __future__ import annotations

import logging
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numba.core.caching import NullCache

Array: TypeAlias = "np.ndarray[Any, Any]"

F = TypeVar("F")

log = logging.getLogger(__name__)

_BLOCK = 1 << 16
"""Passages that are scored together."""

_RUN = 64
"""Passages that are looked at together."""


def compiled(function: F) -> F:
    """The function in machine code, which is kept on disk for the next process where there is a folder to keep it in."""
    try:
        return cast(F, njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return cast(F, njit(nogil=True)(function))


@compiled
def _add(scores: Array, weights: Array, passages: Array, at: int, end: int, start: int, stop: int) -> int:
    """Adds one word's postings of the passages from start up to stop; where its next posting is."""
    after = at + np.searchsorted(passages[at:end], stop)
    for passage, weight in zip(passages[at:after], weights[at:after]):  # noqa: B905  (numba has no ``strict``)
        scores[np.uint32(passage - start)] += weight
    return after  # type: ignore[no-any-return]


@compiled
def _gather(
    scores: Array, row: int, start: int, absent: np.float32, floor: np.float32, rows: Array, kept: Array, count: int
) -> tuple[int, int]:
    """Keeps what is not below the floor for as long as a run of passages has room; where it stopped, and how many are kept."""
    while row < len(scores) and count + _RUN <= len(kept):
        run = scores[row : row + _RUN]
        hits = np.int32(0)
        for at in range(len(run)):  # a few vector instructions; most runs hold nothing
            if run[at] + absent >= floor:
                hits += np.int32(1)
        if hits:
            for at in range(len(run)):
                if run[at] + absent >= floor:
                    rows[count], kept[count] = start + row + at, run[at] + absent
                    count += 1
        row += len(run)
    return row, count


@compiled
def _kth(scores: Array, count: int, k: int) -> np.float32:
    """The k-th largest of the first ``count`` scores, by Hoare's selection: numba takes five seconds to compile ``np.partition``."""
    values = scores[:count].copy()
    place, low, high = count - k, 0, count - 1
    while low < high:
        pivot, left, right = values[(low + high) // 2], low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while values[right] > pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left, right = left + 1, right - 1
        if place <= right:
            high = right
        elif place >= left:
            low = left
        else:
            break
    return values[place]  # type: ignore[no-any-return]


@compiled
def _keep(rows: Array, scores: Array, count: int, floor: np.float32) -> int:
    """Moves what is not below the floor to the front; how many these are."""
    kept = 0
    for at in range(count):
        if scores[at] >= floor:
            rows[kept], scores[kept] = rows[at], scores[at]
            kept += 1
    return kept


@compiled
def _twice(values: Array) -> Array:
    larger = np.empty(2 * len(values), dtype=values.dtype)
    larger[: len(values)] = values
    return larger


@compiled
def best(weights: Array, passages: Array, ends: Array, size: int, words: Array, absent: np.float32, k: int) -> tuple[Array, Array]:
    """Rows and scores of every passage above ``absent`` that has at least the k-th best score; more than k where that is shared.

    Args:
        weights: What a posting adds to its passage's score, shape (postings,), float32.
        passages: Its passage, ascending within a word, shape (postings,), int32.
        ends: The postings of word w stand from ``ends[w]`` to ``ends[w + 1]``; shape (words + 1,), int64.
        size: Passages in all.
        words: The query's words, shape (n,), int64; one that comes twice counts twice.
        absent: The score of a passage with none of them, which the postings' weights come on top of.
        k: How many are wanted, at least 1.

    Returns:
        Rows, ascending, int64, and scores, float32.
    """
    scores = np.empty(min(_BLOCK, size), dtype=np.float32)
    places = ends[words]
    room = 4 * (k + _RUN)
    rows, kept = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.float32)
    count, floor = 0, np.nextafter(absent, np.float32(np.inf))
    for start in range(0, size, _BLOCK):
        block = scores[: min(_BLOCK, size - start)]
        block[:] = 0
        for number in range(len(words)):
            places[number] = _add(block, weights, passages, places[number], ends[words[number] + 1], start, start + len(block))
        row = 0
        while row < len(block):
            row, count = _gather(block, row, start, absent, floor, rows, kept, count)
            if count + _RUN > len(kept):
                floor = _kth(kept, count, k)
                count = _keep(rows, kept, count, floor)
                if 2 * count + _RUN > len(kept):  # many share the k-th score, and all of them stay in
                    rows, kept = _twice(rows), _twice(kept)
    if count > k:
        count = _keep(rows, kept, count, _kth(kept, count, k))
    return rows[:count].copy(), kept[:count].copy()


def best_passages(*arguments: Any) -> tuple[Array, Array]:
    """``best``; where kept machine code cannot be read, or none can be kept, it is compiled for this process alone."""
    try:
        return best(*arguments)
    except Exception as error:
        folder = cast(Any, best).stats.cache_path
        if folder is None:
            raise
        log.warning("bm25: the compiled search in %s cannot be used (%s: %s); compiling it anew", folder, type(error).__name__, error)
        for function in (_add, _gather, _kth, _keep, _twice, best):
            cast(Any, function)._cache = NullCache()  # what numba gives to functions that are not to be kept
        return best(*arguments)
