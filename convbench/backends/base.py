"""The protocol of text encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from convbench.meter import Meter

Vectors = npt.NDArray[np.float32]
"""Shape (texts, dim)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded texts.

    Attributes:
        vectors: Shape (texts, dim), float32.
        tokens: What was sent to the model for each text, in tokens, opening and closing tokens included.
        cut: Tokens of each text that did not fit.
    """

    vectors: Vectors
    tokens: tuple[int, ...]
    cut: tuple[int, ...]


@runtime_checkable
class TextEncoder(Protocol):
    """Maps queries and passages into one vector space, compared by inner product."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters of each model it loads, by the model's label."""

    def load(self) -> None:
        """Loads what encodes queries and passages, so that it is not loaded within the first batch."""

    def describe(self) -> dict[str, Any]:
        """Everything that changes a vector: weights' digest, pooling, lengths, prefixes, versions."""

    def encode_queries(self, texts: Sequence[str], meter: Meter) -> Encoded:
        """Encodes queries; forward passes and tokens go to the meter."""

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> Encoded:
        """Encodes passages; forward passes and tokens go to the meter."""
