"""What the tests of Lucene share: whether it is here, and BM25 as it computes it, by definition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from convbench.errors import ResourceError
from convbench.meter import Meter
from convbench.retrieval.lucene import LuceneConfig, LuceneRetriever
from convbench.retrieval.lucene_engine import find_engine
from convbench.types import Ranking
from convbench.views.query import Query

K1, B = 0.9, 0.4


def absent() -> str | None:
    """Why Lucene cannot run here, or None."""
    try:
        find_engine()
    except ResourceError as error:
        return f"no real Lucene here: {error}"
    return None


def retriever(**settings: Any) -> LuceneRetriever:
    return LuceneRetriever(LuceneConfig(**{"k1": K1, "b": B, "memory": 256, "threads": 1, **settings}))


def search(found: LuceneRetriever, queries: Sequence[tuple[str, str]], k: int) -> list[Ranking]:
    return [each.ranking for each in found.search([Query.of(*query) for query in queries], k, Meter())]


def kept_length(length: int) -> int:
    """The length that Lucene reads back from the byte it keeps: up to 40 as it is, above with four significant bits after 24."""
    rest = length - 24
    shift = max(rest.bit_length() - 4, 0) if rest > 0 else 0
    return length if rest <= 0 else 24 + (rest >> shift << shift)


class ByDefinition:
    """BM25 in 64-bit floats over given words: passages without words count neither in the average nor in idf."""

    def __init__(self, words: dict[str, list[str]], k1: float, b: float, *, exact_lengths: bool = False) -> None:
        self._words = {id_: each for id_, each in words.items() if each}
        self._frequency = Counter(word for each in self._words.values() for word in set(each))
        self._average = sum(map(len, self._words.values())) / len(self._words)
        self._k1, self._b, self._exact = k1, b, exact_lengths

    def score(self, query: Sequence[str], passage_id: str) -> float:
        words = self._words[passage_id]
        length = len(words) if self._exact else kept_length(len(words))
        norm = self._k1 * (1 - self._b + self._b * length / self._average)
        total = 0.0
        for word in query:
            df, tf = self._frequency[word], words.count(word)
            total += math.log(1 + (len(self._words) - df + 0.5) / (df + 0.5)) * tf / (tf + norm)
        return total

    def ranking(self, query: Sequence[str]) -> list[tuple[str, float]]:
        """Every passage above zero, equal scores by id descending."""
        scored = [(id_, self.score(query, id_)) for id_ in self._words]
        return sorted((pair for pair in scored if pair[1] > 0), key=lambda pair: (round(pair[1], 9), pair[0]), reverse=True)
