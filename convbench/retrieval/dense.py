"""Dense retrieval: one encoder for queries and passages, inner products between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from convbench.backends.base import TextEncoder
from convbench.backends.placement import ModelConfig
from convbench.datasets.store import PassageStore
from convbench.meter import Meter
from convbench.retrieval.base import Found
from convbench.retrieval.combine import encode_queries
from convbench.retrieval.passage_index import IndexConfig, PassageIndex
from convbench.views.query import Query


class DenseConfig(IndexConfig):
    """Dense retrieval with one encoder for queries and passages."""

    type: Literal["dense"] = "dense"
    encoder: ModelConfig


class DenseRetriever:
    """Searches a passage index with encoded queries.

    Args:
        encoder: Encodes queries and passages.
        index: Keeps and searches the passages' vectors.
    """

    batch_size = 512  # every batch reads the whole index; from some hundred queries on, faiss multiplies matrices

    def __init__(self, encoder: TextEncoder, index: PassageIndex) -> None:
        self._encoder = encoder
        self._index = index

    def describe(self) -> dict[str, Any]:
        """The encoder's description and the index's."""
        return {"type": "dense", "encoder": self._encoder.describe(), **self._index.describe()}

    def check(self) -> None:
        """The checkpoint's files must be there, and say how it encodes."""
        self._encoder.describe()

    def index(self, store: PassageStore, cache: Path, meter: Meter) -> None:
        """Opens the index under ``cache``, encoding the passages that are missing."""
        self._encoder.load()
        self._index.open(store, self._encoder, cache, meter)
        for name, parameters in self._encoder.parameters.items():
            meter.model(name, parameters)

    def search(self, queries: Sequence[Query], k: int, meter: Meter) -> list[Found]:
        """The k nearest passages of each query."""
        with meter.phase("encode", turns=len(queries)):
            encoded = encode_queries(self._encoder, queries, meter)
        rankings = self._index.search([query.turn_id for query in queries], encoded.vectors, k, meter)
        return [Found(*found) for found in zip(rankings, encoded.tokens, encoded.cut, strict=True)]
