"""What the tests of indexes share: an encoder that needs no weights, shards of given vectors, passages."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convbench.backends.base import Encoded
from convbench.meter import Meter
from convbench.retrieval.index_folder import IndexFolder
from convbench.retrieval.shards import Shards, Storage
from convbench.types import Passage

SUBJECTS = ["The keeper", "A sailor", "The musician", "Nobody", "The miller", "An engineer", "The baker", "Her sister"]
VERBS = ["repaired", "painted", "sold", "lost", "described", "found", "hid", "measured"]
OBJECTS = ["the red boat", "an old lamp", "the stone bridge", "a bundle of letters", "the bell", "a map of the river"]


def passages(count: int) -> list[Passage]:
    """Short texts, no two alike."""
    chance = random.Random(5)
    return [
        Passage(
            f"p {n}",
            f"{chance.choice(SUBJECTS)} {chance.choice(VERBS)} {chance.choice(OBJECTS)} in {1500 + n}.",
            f"Volume {n % 7}"[: n % 3 * 9],
        )
        for n in range(count)
    ]


class WordEncoder:
    """Adds up a random vector for every word, the same in every process; notes the passages it was given.

    Args:
        dim: Length of a vector.
        longest: Words beyond this many are cut.
        before: Called with the number of the call before passages are encoded.
        scale: Factor on every vector.
    """

    def __init__(self, dim: int = 32, longest: int = 100, before: Callable[[int], None] | None = None, scale: float = 1.0) -> None:
        self.dim = dim
        self.calls: list[list[str]] = []
        self._longest = longest
        self._before = before
        self._scale = scale

    @property
    def parameters(self) -> dict[str, int]:
        return {"words": 1000 * self.dim}

    def load(self) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return {"model": "words", "dim": self.dim, "longest": self._longest, "scale": self._scale}

    def encode_queries(self, texts: Sequence[str], meter: Meter) -> Encoded:
        words = [text.lower().replace(".", "").split() for text in texts]
        tokens = tuple(min(len(each), self._longest) for each in words)
        meter.count(forward_passes=1, tokens_in=sum(tokens))
        vectors = np.array([self._vector(each[: self._longest]) for each in words], dtype=np.float32).reshape(len(texts), self.dim)
        return Encoded(vectors, tokens, tuple(max(len(each) - self._longest, 0) for each in words))

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> Encoded:
        if self._before:
            self._before(len(self.calls))
        self.calls.append(list(texts))
        return self.encode_queries(texts, meter)

    def _vector(self, words: Sequence[str]) -> NDArray[np.float64]:
        total = np.zeros(self.dim)
        for word in words:
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            total += np.random.default_rng(seed).standard_normal(self.dim)
        return self._scale * total / max(float(np.linalg.norm(total)), 1e-9)


def shards_of(folder: Path, vectors: NDArray[np.float32], *, storage: Storage = "float32", shard_rows: int = 1000) -> Shards:
    """Shards that hold given vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = Shards(IndexFolder(folder, folder / "cache"), len(vectors), vectors.shape[1], storage, shard_rows)
    for number, part in enumerate(shards.parts):
        np.save(shards.path(part), vectors[number * shard_rows :][: part.rows].astype(storage))
        shards.folder.record(part)
    return shards


def content(folder: Path) -> dict[str, bytes]:
    """The files of an index, its lock apart."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "build.lock"}
