"""The words of an index and their numbers, looked up where they lie on disk: a search needs few of millions."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

FILES = ("vocabulary.words.npy", "vocabulary.ends.npy", "vocabulary.numbers.npy")
"""The words' UTF-8 bytes in sorted order; where the n-th word ends, from 0 on; its number."""

_KEPT = 1 << 16
"""Words whose numbers are remembered: queries share most of theirs."""


def save_vocabulary(numbers: Mapping[str, int], folder: Path) -> None:
    """Writes the three files.

    Args:
        numbers: Word -> number.
        folder: Where they go.
    """
    words = sorted(numbers)  # by code points, which is the order of the bytes too
    spelt, ends = bytearray(), np.zeros(len(words) + 1, np.int64)
    for place, word in enumerate(words, 1):
        spelt += _spelt(word)
        ends[place] = len(spelt)
    places = np.fromiter((numbers[word] for word in words), np.int32, len(words))
    for name, array in zip(FILES, (np.frombuffer(spelt, np.uint8), ends, places), strict=True):
        np.save(folder / name, np.asarray(array))


def save_as_bm25s(numbers: Mapping[str, int], path: Path) -> None:
    """Writes the vocabulary as bm25s does, one JSON object, but word by word: as a whole it takes more memory than the words do."""
    with path.open("w", encoding="utf-8") as handle:
        separator = "{"
        for word, number in numbers.items():
            handle.write(f"{separator}{json.dumps(word, ensure_ascii=False)}: {number}")
            separator = ", "
        handle.write("}")


class Vocabulary(Mapping[str, int]):
    """Word -> number.

    Args:
        folder: Where ``save_vocabulary`` wrote it.
    """

    def __init__(self, folder: Path) -> None:
        words, ends, numbers = (np.load(folder / name, mmap_mode="r") for name in FILES)
        self._words = _Words(memoryview(words), memoryview(ends))
        self._number = lru_cache(_KEPT)(partial(_sought, self._words, memoryview(numbers)))

    def __getitem__(self, word: str) -> int:
        number = self._number(word)
        if number is None:
            raise KeyError(word)
        return number

    def __len__(self) -> int:
        return len(self._words)

    def __iter__(self) -> Iterator[str]:
        return (self._words[place].decode("utf-8", "surrogatepass") for place in range(len(self)))


class _Words(Sequence[bytes]):
    def __init__(self, words: memoryview, ends: memoryview) -> None:
        self._words, self._ends = words, ends

    def __getitem__(self, place: int) -> bytes:  # type: ignore[override]  # slices are not asked for
        return self._words[self._ends[place] : self._ends[place + 1]].tobytes()

    def __len__(self) -> int:
        return len(self._ends) - 1


def _sought(words: _Words, numbers: memoryview, word: str) -> int | None:
    """The number of a word; None where the vocabulary lacks it."""
    spelt = _spelt(word)
    place = bisect_left(words, spelt)
    return int(numbers[place]) if place < len(words) and words[place] == spelt else None


def _spelt(word: str) -> bytes:
    """Half of a surrogate pair, which a query may hold, is no UTF-8 and must not fail."""
    return word.encode("utf-8", "surrogatepass")


def knowing(tokenizer: Any, vocabulary: Vocabulary) -> Any:
    """A fresh tokenizer of bm25s that finds the numbers of words, or of their stems, in a vocabulary."""
    if tokenizer.stemmer is None:
        tokenizer.word_to_id = vocabulary
    else:
        tokenizer.stem_to_sid = vocabulary
    return tokenizer
