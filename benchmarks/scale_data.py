"""Synthetic collections of any size, and an encoder that costs next to nothing: what ``scale.py`` measures with.

Words follow two laws, as those of a language do (Ferrer i Cancho and Solé, 2001): the n-th of the first 10,000 comes about 1 / n as often
as the first; beyond them frequencies fall with n ** -1.7, so that new words keep coming, about as the 0.59th power of the text's length.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.backends.base import Encoded
from convbench.meter import Meter
from convbench.types import Passage
from convbench.views.query import Query

SHORTEST, LONGEST = 60, 100
"""Words in a passage."""

_COMMON, _RARE, _STEEPNESS = 10_000, 1 << 24, 0.7
_SHARE = _STEEPNESS * np.log(_COMMON) / (1 + _STEEPNESS * np.log(_COMMON))
"""Of all words the share that is common, for which both laws meet."""
_BLOCK = 5_000

_STARTS = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "sh", "tr"]
_MIDDLES = ["a", "e", "i", "o", "u", "ai", "ea", "ou"]
_ENDS = ["b", "d", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "x", "z", "nd", "rk"]
_SYLLABLES = [start + middle + end for start in _STARTS for middle in _MIDDLES for end in _ENDS]  # 2,048
_SYLLABLES += [f"{syllable[::-1]}o" for syllable in _SYLLABLES]


def words(ranks: npt.NDArray[np.int64]) -> list[str]:
    """The words of some ranks, from 0: one or two syllables of three to six letters."""
    syllables = _SYLLABLES
    return [
        syllables[low] if not high else syllables[high] + syllables[low]
        for high, low in zip((ranks >> 12).tolist(), (ranks & 4095).tolist(), strict=True)
    ]


def ranks(chance: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
    """Ranks of drawn words."""
    common = (_COMMON + 1) ** chance.random(count)
    least = (_COMMON / _RARE) ** _STEEPNESS
    rare = _COMMON * (least + (1 - least) * chance.random(count)) ** (-1 / _STEEPNESS)
    drawn: npt.NDArray[np.int64] = np.where(chance.random(count) < _SHARE, common, rare).astype(np.int64) - 1
    return drawn


class Watch:
    """Adds up seconds, and those of them in which the processor worked, over the blocks that it is entered for."""

    def __init__(self) -> None:
        self.seconds = self.processor_seconds = 0.0

    def __enter__(self) -> Watch:
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began[0]
        self.processor_seconds += time.process_time() - self._began[1]


class Collection:
    """Passages that are made as they are read; a smaller collection is the beginning of a larger one.

    Args:
        passages: How many.
    """

    def __init__(self, passages: int) -> None:
        self.passages = passages
        self.making = Watch()

    def __iter__(self) -> Iterator[Passage]:
        for start in range(0, self.passages, _BLOCK):
            with self.making:
                block = _passages(start)[: self.passages - start]
            yield from block


def _passages(start: int) -> list[Passage]:
    """A whole block, whatever the size of the collection: what is drawn for a passage depends on it."""
    chance = np.random.default_rng([1, start])
    lengths = chance.integers(SHORTEST, LONGEST + 1, _BLOCK)
    drawn = words(ranks(chance, int(lengths.sum())))
    ends = np.cumsum(lengths).tolist()
    numbers = range(start, start + _BLOCK)
    return [
        Passage(f"https://example.org/{n % 977}/page-{n}_p{n % 7}", " ".join(drawn[first:end]), drawn[first])
        for n, first, end in zip(numbers, [0, *ends], ends, strict=False)
    ]


def queries(count: int) -> list[Query]:
    """Queries of 6 to 14 words, none of the hundred commonest, which stand for stop words."""
    chance = np.random.default_rng(2)
    drawn = ranks(chance, 40 * count)
    asked = words(drawn[drawn >= 100])
    ends = np.cumsum(chance.integers(6, 15, count)).tolist()
    return [
        Query.of(f"{n // 8}_{n % 8 + 1}", " ".join(asked[first:end])) for n, (first, end) in enumerate(zip([0, *ends], ends, strict=False))
    ]


class StandIn:
    """Vectors drawn by the text's digest: each eighth of a vector is one of 4,096 rows of random numbers.

    The first 16 values come from all of the digest, so that they tell vectors apart, as an encoder's do.

    Args:
        dim: Length of a vector, a multiple of 8.
    """

    def __init__(self, dim: int) -> None:
        chance = np.random.default_rng(3)
        self._table, self._heads = (chance.standard_normal((4096, n), dtype=np.float32) / np.float32(dim**0.5) for n in (dim // 8, 2))
        self.parameters: dict[str, int] = {}
        self.making = Watch()

    @property
    def dim(self) -> int:
        return 8 * self._table.shape[1]

    def load(self) -> None:
        """Nothing to load."""

    def describe(self) -> dict[str, Any]:
        return {"stand-in": 1, "dim": self.dim}

    def encode_queries(self, texts: Sequence[str], meter: Meter) -> Encoded:
        return self._encode(texts)

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> Encoded:
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Encoded:
        with self.making:
            digests = b"".join(blake2b(text.encode(), digest_size=16).digest() for text in texts)
            rows = np.frombuffer(digests, dtype="<u2").reshape(len(texts), 8) & 4095
            vectors = self._table[rows].reshape(len(texts), self.dim)
            vectors[:, :16] = self._heads[rows].reshape(len(texts), 16)
        return Encoded(vectors, (0,) * len(texts), (0,) * len(texts))
