"""BERTScore of many pairs: what was computed before is looked up, the rest is embedded once a text and matched."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from convbench.io.blobs import BlobCache
from convbench.io.digests import value_sha256
from convbench.metrics.bert_matching import Triple, match

if TYPE_CHECKING:
    from convbench.metrics.bert_encoding import Embedding
    from convbench.metrics.bert_model import BertModel

Row: TypeAlias = tuple[int, ...]
"""Token ids of a text, special ones included, cut to the model's limit."""

_UNNAMED = -1
_TRIPLE = 24
"""Bytes of three numbers."""
_FORM = 1
"""Raised when what is kept takes another form, or is computed in another way."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each token counts.

    Attributes:
        by_token: Token id -> weight.
        digest: Of all of them.
    """

    by_token: Mapping[int, float]
    digest: str

    @classmethod
    def of(cls, by_token: Mapping[int, float]) -> Weights:
        """Weights with their digest.

        Args:
            by_token: With a weight for tokens that it does not name (``_UNNAMED`` stands for all of them).
        """
        named = sorted([token, weight] for token, weight in by_token.items() if token != _UNNAMED)
        return cls(by_token, value_sha256([*named, [_UNNAMED, by_token[_UNNAMED]]]))


class BertComparer:
    """Compares texts with one model, and remembers on disk what is worth it.

    Kept are the embeddings of references, which every system is compared with (4 bytes × dim a token: 55 KB for 36 tokens of 384 numbers),
    and the three numbers of each pair (24 bytes), so that a response that several systems give is compared once. Responses' embeddings are
    not: a response that is new is new for every reference. What is kept is known by the model (weights, configuration, layer, versions of
    what computes it, kind of device) and by token ids, in which the tokenizer and the limit are contained.

    Args:
        model: The model.
        cache: Where it is kept.
    """

    def __init__(self, model: BertModel, cache: BlobCache) -> None:
        self._model = model
        self._cache = cache

    def compare(self, pairs: Sequence[tuple[Row, Row]], weights: Weights, most_rows: int) -> list[Triple]:
        """Scores (candidate, reference) pairs.

        Args:
            pairs: Token ids of both; the same pair may come again.
            weights: Of the tokens.
            most_rows: Most texts that go through the model together.
        """
        if not pairs:
            return []
        unique = dict.fromkeys(pairs)
        keys = {pair: self._key(weights.digest, *pair) for pair in unique}
        known = self._cache.known(list(keys.values()))
        triples = {pair: triple for pair, key in keys.items() if (triple := _triple(known.get(key)))}
        fresh = self._matched([pair for pair in unique if pair not in triples], weights.by_token, most_rows)
        self._cache.add({keys[pair]: array("d", triple).tobytes() for pair, triple in fresh.items()})
        triples |= fresh
        return [triples[pair] for pair in pairs]

    def _matched(self, pairs: Sequence[tuple[Row, Row]], weights: Mapping[int, float], most_rows: int) -> dict[tuple[Row, Row], Triple]:
        embeddings = self._embedded(pairs, most_rows)
        by_row = {row: [weights[token] for token in row] for row in embeddings}
        return {(one, other): match(embeddings[one], by_row[one], embeddings[other], by_row[other]) for one, other in pairs}

    def _embedded(self, pairs: Sequence[tuple[Row, Row]], most_rows: int) -> dict[Row, Embedding]:
        """The embeddings of all texts of some pairs, those of references read from the cache or added to it."""
        references = dict.fromkeys(reference for _, reference in pairs)
        keys = {reference: self._key("", reference) for reference in references}
        known = self._cache.known(list(keys.values()))
        dim = self._model.dim
        embeddings = {row: kept for row, key in keys.items() if (kept := _embedding(known.get(key), len(row), dim)) is not None}
        unknown = [row for row in dict.fromkeys([*references, *(candidate for candidate, _ in pairs)]) if row not in embeddings]
        fresh = dict(zip(unknown, self._model.embed(unknown, most_rows), strict=True))
        self._cache.add({keys[row]: embedding.tobytes() for row, embedding in fresh.items() if row in references})
        return embeddings | fresh

    def _key(self, kind: str, *rows: Row) -> bytes:
        digest = sha256(f"{_FORM} {self._model.identity} {kind} {[len(row) for row in rows]}".encode())
        for row in rows:
            digest.update(array("i", row).tobytes())
        return digest.digest()


def _embedding(kept: bytes | None, tokens: int, dim: int) -> Embedding | None:
    """Of shape (tokens, dim); None for what cannot be that."""
    if not kept or len(kept) != 4 * tokens * dim:
        return None
    return np.frombuffer(kept, np.float32).reshape(tokens, dim)


def _triple(kept: bytes | None) -> Triple | None:
    """The three numbers; None for what cannot be them."""
    if kept is None or len(kept) != _TRIPLE:
        return None
    precision, recall, f1 = array("d", kept)
    return precision, recall, f1
