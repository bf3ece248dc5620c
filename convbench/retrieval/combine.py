"""Several texts, one query vector (LLM4CS, Mao et al. 2023): their mean, or the one that lies nearest to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convbench.backends.base import Encoded, TextEncoder, Vectors
from convbench.meter import Meter
from convbench.views.query import Combine, Query


def encode_queries(encoder: TextEncoder, queries: Sequence[Query], meter: Meter) -> Encoded:
    """Encodes queries, one vector each.

    Args:
        encoder: Encodes their texts, all in one call.
        queries: The queries.
        meter: Where forward passes and tokens are counted.

    Returns:
        One vector, and the sums of the tokens sent and cut, for each query.
    """
    encoded = encoder.encode_queries([text for query in queries for text in query.texts], meter)
    parts = text_parts(queries)
    vectors = [combined(encoded.vectors[part], query.combine) for query, part in zip(queries, parts, strict=True)]
    return Encoded(
        np.stack(vectors) if vectors else encoded.vectors,
        tuple(sum(encoded.tokens[part]) for part in parts),
        tuple(sum(encoded.cut[part]) for part in parts),
    )


def text_parts(queries: Sequence[Query]) -> list[slice]:
    """Where each query's texts stand among the texts of all."""
    ends = np.cumsum([len(query.texts) for query in queries])
    return [slice(end - len(query.texts), end) for query, end in zip(queries, ends.tolist(), strict=True)]


def combined(vectors: Vectors, combine: Combine) -> Vectors:
    """One vector of several.

    Args:
        vectors: Shape (texts, dim).
        combine: ``mean``; or ``self-consistency``, the vector with the largest inner product with the mean, the first of equals.

    Returns:
        Shape (dim,). A single vector stays as it is.
    """
    mean: Vectors = vectors.mean(axis=0)
    nearest: Vectors = vectors[int(np.argmax(vectors @ mean))]
    return nearest if combine == "self-consistency" or len(vectors) == 1 else mean
