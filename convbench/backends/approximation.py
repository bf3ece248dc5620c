"""Encoders that compute approximately, and how far their vectors agree with the exact ones on the texts at hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.backends.base import Vectors
from convbench.backends.calls import calling_transformers
from convbench.meter import Meter

if TYPE_CHECKING:
    from convbench.backends.loaded import Loaded

log = logging.getLogger(__name__)

TEXTS = 32
"""Texts that are encoded exactly too, at most."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two ways of encoding the same texts agree.

    Attributes:
        texts: How many were compared.
        min_cosine: The least cosine of a text's two vectors.
        mean_cosine: The mean of them.
        rank_correlation: Each text orders the others by inner product with it; Spearman's correlation of its two orders, mean over the
            texts. None for fewer than three, which order nothing.
    """

    texts: int
    min_cosine: float
    mean_cosine: float
    rank_correlation: float | None

    @property
    def line(self) -> str:
        """In words."""
        ranks = "" if self.rank_correlation is None else f", rank correlation of scores {self.rank_correlation:.4f}"
        return f"cosine of {self.texts} texts' vectors at least {self.min_cosine:.4f}, mean {self.mean_cosine:.4f}{ranks}"


def agreement(found: Vectors, expected: Vectors) -> Agreement:
    """Compares vectors of the same texts.

    Args:
        found: Shape (texts, dim), at least one text.
        expected: Of the same shape.
    """
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    cosines = (found * expected).sum(axis=1) / np.maximum(lengths, 1e-12)
    ranks = _rank_correlation(found, expected) if len(found) > 2 else None
    return Agreement(len(found), float(cosines.min()), float(cosines.mean()), ranks)


def _rank_correlation(found: Vectors, expected: Vectors) -> float:
    from scipy.stats import rankdata

    others = ~np.eye(len(found), dtype=bool)
    orders = [rankdata((vectors @ vectors.T)[others].reshape(len(found), -1), axis=1) for vectors in (found, expected)]
    centred = [order - order.mean(axis=1, keepdims=True) for order in orders]
    size = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    return float(((centred[0] * centred[1]).sum(axis=1) / np.maximum(size, 1e-12)).mean())


class Approximation:
    """What an approximate encoder is compared with, on the first texts that it encodes.

    Args:
        label: Checkpoint and precision.
        exact: Loads the model as it was stored; it is let go when enough texts were compared.
    """

    def __init__(self, label: str, exact: Callable[[], Loaded]) -> None:
        self._label, self._load = label, exact
        self._exact: Loaded | None = None
        self._compared = 0

    def compare(self, inputs: Sequence[Sequence[int]], vectors: Vectors, meter: Meter, *, skip: int) -> None:
        """Encodes some of the inputs exactly, says how far the vectors agree, and notes it in the meter.

        Nothing is done where as many texts were compared before.

        Args:
            inputs: Token ids of each input.
            vectors: Theirs, of the approximate encoder.
            meter: Where it is noted; encoding exactly is its phase ``agreement``.
            skip: Tokens at the start of each input that are not pooled.
        """
        count = min(len(inputs), TEXTS)
        if count <= self._compared:
            return
        from convbench.backends.encode import encode_inputs

        self._exact = self._exact or self._load()
        chosen = [number * len(inputs) // count for number in range(count)]  # from all over
        with meter.phase("agreement"):  # apart from the encoding that is measured
            exact = encode_inputs(self._exact, [inputs[number] for number in chosen], meter, batch_tokens=8192, skip=skip)
        measured = agreement(vectors[chosen], exact)
        self._compared = count
        if count == TEXTS:
            self._exact = None
        meter.agreement(self._label, asdict(measured))
        log.warning("%s is approximate: %s", self._label, measured.line)


def in_int8(model: Any, label: str) -> Any:
    """The model with its linear layers in 8-bit integers: weights channel by channel, activations as they come.

    Args:
        model: A model on the CPU; it is changed.
        label: The checkpoint's name, for messages.

    Raises:
        ResourceError: This torch cannot compute with 8-bit integers.
    """
    with calling_transformers(f"{label}: this torch cannot compute with 8-bit integers (dtype: int8); set dtype: float32"):
        import torch
        from torch.ao import quantization

        quantize: Any = quantization.quantize_dynamic
        return quantize(model, {torch.nn.Linear: quantization.per_channel_dynamic_qconfig}, inplace=True)
