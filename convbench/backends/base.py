"""The protocol of text encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Shape (texts, dim)."""


@runtime_checkable
class TextEncoder(Protocol):
    """Maps queries and passages into one vector space, compared by inner product."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def describe(self) -> dict[str, Any]:
        """Everything that changes a vector: weights' digest, pooling, lengths, prefixes, versions."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, shape (len(texts), dim), float32."""

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, shape (len(texts), dim), float32."""
