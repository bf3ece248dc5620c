"""Learned sparse retrieval: a SPLADE checkpoint weighs the words of queries and passages, an inverted index compares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from convbench.backends.sparse_encoder import SparseEncoded, SparseEncoder, SparseModelConfig
from convbench.config import Config
from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.io.digests import value_sha256
from convbench.meter import Meter
from convbench.retrieval.base import Found
from convbench.retrieval.canonical import canonical
from convbench.retrieval.combine import combined, text_parts
from convbench.retrieval.index_folder import IndexFolder
from convbench.retrieval.postings import Postings, not_finite
from convbench.retrieval.postings_build import build_postings
from convbench.retrieval.shards import SHARD_ROWS
from convbench.types import Ranking
from convbench.views.passages import PASSAGE_VIEW
from convbench.views.query import Query

VERSION = 1


class SparseConfig(Config):
    """Learned sparse retrieval."""

    type: Literal["sparse"] = "sparse"
    encoder: SparseModelConfig


class SparseRetriever:
    """Searches an inverted index with weighted words.

    Args:
        encoder: Weighs the words of queries and passages.
        shard_rows: Passages that are encoded before anything is written.
    """

    batch_size = 128  # every batch opens the whole index; products of more queries take more memory

    def __init__(self, encoder: SparseEncoder, *, shard_rows: int = SHARD_ROWS) -> None:
        self._encoder, self._shard_rows = encoder, shard_rows

    def describe(self) -> dict[str, Any]:
        """The encoder's description, and how passages are written."""
        return {"type": "sparse", "version": VERSION, "passages": PASSAGE_VIEW, "encoder": self._encoder.describe()}

    def check(self) -> None:
        """The checkpoints must be there, predict masked words, and share a vocabulary."""
        self._encoder.describe()

    def index(self, store: PassageStore, cache: Path, meter: Meter) -> None:
        """Opens the index under ``cache``, encoding the passages that are missing.

        Raises:
            UsageError: A weight is not finite.
            StorageError: The index cannot be written; the same call goes on where it stopped.
        """
        encoder = self._encoder
        encoder.load()
        key = [VERSION, store.sha256, PASSAGE_VIEW, encoder.describe_passages(), self._shard_rows]
        folder = IndexFolder(cache / "sparse" / value_sha256(key)[:32], cache)
        postings = Postings(folder, len(store), encoder.vocabulary, self._shard_rows)
        build_postings(postings, store, encoder, meter)
        self._store, self._postings = store, postings
        meter.index("sparse", postings.bytes_on_disk)
        for name, parameters in encoder.parameters.items():
            meter.model(name, parameters)

    def search(self, queries: Sequence[Query], k: int, meter: Meter) -> list[Found]:
        """The k passages of the largest inner product that share a word with the query.

        Raises:
            UsageError: A weight of a query is not finite.
        """
        if not queries:
            return []
        with meter.phase("encode", turns=len(queries)):
            encoded = _encode_queries(self._encoder, queries, meter)
        if (number := not_finite(encoded.weights)) is not None:
            what = f"turn {queries[number].turn_id}: the weight of a word is not finite"
            raise UsageError(f"{what}; check the checkpoint and the precision it runs in")
        matches = self._postings.best(encoded.weights, k)
        rankings = [self._ranking(query.turn_id, *found, k) for query, found in zip(queries, matches, strict=True)]
        return [Found(*found) for found in zip(rankings, encoded.tokens, encoded.cut, strict=True)]

    def _ranking(self, turn_id: str, rows: Any, scores: Any, k: int) -> Ranking:
        return canonical(turn_id, zip(self._store.ids(rows), scores.tolist(), strict=True), depth=k)


def _encode_queries(encoder: SparseEncoder, queries: Sequence[Query], meter: Meter) -> SparseEncoded:
    """One row for each query: of several texts their mean, or the one that lies nearest to it, as dense vectors are combined."""
    from scipy.sparse import csr_array, vstack

    encoded = encoder.encode_queries([text for query in queries for text in query.texts], meter)
    parts = text_parts(queries)
    rows = []
    for query, part in zip(queries, parts, strict=True):
        weights = encoded.weights[part]
        rows.append(weights if len(query.texts) == 1 else csr_array(combined(weights.toarray(), query.combine)[np.newaxis]))
    tokens, cut = ([sum(counts[part]) for part in parts] for counts in (encoded.tokens, encoded.cut))
    return SparseEncoded(vstack(rows, format="csr"), tuple(tokens), tuple(cut))
