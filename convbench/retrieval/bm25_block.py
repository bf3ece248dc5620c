"""Blocks of passages with their words counted: what an interrupted build of a BM25 index goes on from.

A block is one file of arrays, a sorted run: word after word, and for every word the passages of the block that hold it, in order. So the
postings of a range of words lie together in every block, and blocks can be merged range by range in little memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

ROWS = 1 << 16
"""Passages of a block, so that a row within it takes two bytes."""


class Block(NamedTuple):
    """Passages with their words counted.

    Attributes:
        ends: The postings of the n-th of ``words`` stand from ``ends[n]`` to ``ends[n + 1]``; shape (words + 1,), int64.
        words: The numbers of the words that the passages hold, ascending; shape (words,), int32.
        lengths: Words of every passage, repetitions included; shape (passages,), int32.
        rows: The passage of every posting, from 0 within the block, ascending within a word; shape (postings,), uint16.
        times: How often it holds the word; shape (postings,), the narrowest unsigned kind that fits.
        added: The words that no block before has, as UTF-8 of a JSON list, in the order of their numbers; uint8.
    """

    ends: npt.NDArray[np.int64]
    words: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    rows: npt.NDArray[np.uint16]
    times: npt.NDArray[np.unsignedinteger[Any]]
    added: npt.NDArray[np.uint8]

    @property
    def new_words(self) -> list[str]:
        """The words that no block before has, in the order of their numbers."""
        words: list[str] = json.loads(self.added.tobytes())
        return words

    def between(self, first: int, stop: int) -> Block:
        """The postings of the words from ``first`` up to ``stop``; lengths and new words are left out."""
        low, high = np.searchsorted(self.words, [first, stop]).tolist()
        ends = np.asarray(self.ends[low : high + 1])
        part = slice(int(ends[0]), int(ends[-1]))
        return Block(ends - ends[0], self.words[low:high], self.lengths[:0], self.rows[part], self.times[part], self.added[:0])


class Counting:
    """Gathers the passages of one block."""

    def __init__(self) -> None:
        self._lengths: list[npt.NDArray[np.int32]] = []
        self._words: list[npt.NDArray[np.int32]] = []

    def add(self, passages: Sequence[Sequence[int]]) -> None:
        """Adds the next passages, each the numbers of its words in order."""
        lengths = np.fromiter(map(len, passages), np.int32, len(passages))
        self._lengths.append(lengths)
        self._words.append(np.fromiter(chain.from_iterable(passages), np.int32, int(lengths.sum(dtype=np.int64))))

    def block(self, new_words: Sequence[str]) -> Block:
        """The block; what was gathered is used up.

        Args:
            new_words: Words that have no number in the blocks before, in the order of their numbers.
        """
        lengths = np.concatenate(self._lengths)
        # A word and the passage it stands in as one number: sorted, equal ones stand together and in the order of a block.
        pairs = np.concatenate(self._words, dtype=np.int64)
        self._words.clear()
        pairs *= ROWS
        pairs += np.repeat(np.arange(len(lengths)), lengths)
        pairs.sort()
        starts = _starts(pairs)
        times = np.diff(starts, append=len(pairs))
        pairs = pairs[starts]
        word_starts = _starts(pairs // ROWS)
        return Block(
            np.append(word_starts, len(pairs)).astype(np.int64),
            (pairs[word_starts] // ROWS).astype(np.int32),
            lengths,
            (pairs % ROWS).astype(np.uint16),
            times.astype(np.min_scalar_type(int(times.max(initial=0)))),
            np.frombuffer(json.dumps(list(new_words)).encode(), np.uint8),
        )


def _starts(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where runs of equal values begin."""
    new = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return np.flatnonzero(new)


def write_block(block: Block, path: Path) -> None:
    """Writes the arrays one after the other, each as ``np.save`` does; wide kinds first, so that they lie aligned."""
    with path.open("wb") as handle:
        for array in block:
            np.save(handle, array)


def open_block(path: Path) -> Block:
    """The block of a file, mapped and not read."""
    raw = np.memmap(path, np.uint8, "r")
    return Block(*islice(_arrays(path, raw), len(Block._fields)))


def _arrays(path: Path, raw: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[Any]]:
    with path.open("rb") as handle:
        while True:
            np.lib.format.read_magic(handle)
            (length,), _, kind = np.lib.format.read_array_header_1_0(handle)
            start = handle.tell()
            stop = start + length * kind.itemsize
            yield raw[start:stop].view(kind)
            handle.seek(stop)
