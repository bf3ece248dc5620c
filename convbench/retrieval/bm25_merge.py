"""Merging blocks into the postings of a BM25 index: range after range of words, written in order, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convbench.progress import Advance
from convbench.retrieval import bm25_block
from convbench.retrieval.bm25_block import open_block
from convbench.retrieval.bm25_scores import Scores

TOGETHER = 1 << 23
"""Postings that are in memory at a time."""


class Postings(NamedTuple):
    """Postings of the words from ``first`` up to ``stop``, word after word; of a single word they may be only some.

    Attributes:
        first: Number of a word.
        stop: Number of a word.
        passages: Their passages, ascending within a word.
        times: How often each holds the word.
    """

    first: int
    stop: int
    passages: npt.NDArray[np.int32]
    times: npt.NDArray[np.unsignedinteger[Any]]


def write_postings(
    blocks: Sequence[Path], held_by: npt.NDArray[np.int64], scores: Scores, data: Path, indices: Path, advance: Advance
) -> None:
    """Writes scores and passages of all postings, as ``np.save`` would.

    The files are written and not mapped: where the disk is full, a write fails and says so, while a mapped page kills the process.

    Args:
        blocks: The files of the blocks, in the order of the passages.
        held_by: For every word, how many passages hold it.
        scores: Of the postings.
        data: Where the scores go, float32.
        indices: Where the passages go, int32.
        advance: Is told of postings that were written.
    """
    count = int(held_by.sum())
    with data.open("wb") as weights, indices.open("wb") as passages:
        for handle, kind in ((weights, np.float32), (passages, np.int32)):
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": (count,)}
            np.lib.format.write_array_header_1_0(handle, header)
        for first, stop in ranges(held_by, TOGETHER):
            for found in _postings(blocks, held_by, first, stop):
                scores.of(*found).tofile(weights)
                found.passages.tofile(passages)
                advance(len(found.passages))
                del found  # or it would stay in memory while the next ones are sorted


def ranges(held_by: npt.NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Words in order, together held by no more passages than ``most``; a word of more stands alone.

    Yields:
        The first word's number and the one after the last's.
    """
    ends = np.cumsum(held_by, dtype=np.int64)
    first = before = 0
    while first < len(ends):
        stop = max(int(np.searchsorted(ends, before + most, side="right")), first + 1)
        yield first, stop
        first, before = stop, int(ends[stop - 1])


def _postings(blocks: Sequence[Path], held_by: npt.NDArray[np.int64], first: int, stop: int) -> Iterator[Postings]:
    """A range's postings: at once, or those of a very common word block by block, which is their order already."""
    if stop == first + 1:
        for row, path in _starts(blocks):
            found = open_block(path).between(first, stop)
            yield Postings(first, stop, found.rows.astype(np.int32) + np.int32(row), found.times)
    else:
        yield _sorted(blocks, held_by, first, stop)


def _sorted(blocks: Sequence[Path], held_by: npt.NDArray[np.int64], first: int, stop: int) -> Postings:
    """Puts every block's part of a range where it belongs: a counting sort that keeps the order of the passages."""
    free = np.cumsum(held_by[first:stop]) - held_by[first:stop]
    count = int(held_by[first:stop].sum())
    passages, times = np.empty(count, np.int32), np.empty(count, np.uint32)
    for row, path in _starts(blocks):
        found = open_block(path).between(first, stop)
        if len(found.words):
            words, counts = found.words - first, np.diff(found.ends)
            places = np.repeat(free[words] - found.ends[:-1], counts) + np.arange(len(found.rows))
            passages[places] = found.rows.astype(np.int32) + np.int32(row)
            times[places] = found.times
            free[words] += counts
    return Postings(first, stop, passages, times)


def _starts(blocks: Sequence[Path]) -> Iterator[tuple[int, Path]]:
    """The first passage of every block."""
    return ((number * bm25_block.ROWS, path) for number, path in enumerate(blocks))
