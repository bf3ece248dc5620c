"""Encoders that compute approximately, and how far their vectors agree with the exact ones on the texts at hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from convbench.backends.base import Vectors
from convbench.backends.calls import calling_transformers
from convbench.meter import Meter

if TYPE_CHECKING:
    from convbench.backends.loaded import Loaded

log = logging.getLogger(__name__)

Ids: TypeAlias = tuple[int, ...]

TEXTS = 32
"""Texts that are encoded exactly too, at most."""

_HOW_TO_MEASURE = (
    "what that does to nDCG or any other measure: `convbench diff EXACT_RUN THIS_RUN` "
    "(of MiniLM in int8: `python benchmarks/int8_encoding.py` in convbench's repository)"
)


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

    They are gathered from call to call, and compared when there are enough of them, or at the end of the stage (``Meter.settle``). That
    happens once; the exact model is in memory for no longer than it takes.

    Args:
        label: Checkpoint and precision.
        exact: Loads the model as it was stored.
    """

    def __init__(self, label: str, exact: Callable[[], Loaded]) -> None:
        self._label, self._load = label, exact
        self._gathered: dict[tuple[int, Ids], Vectors] = {}
        self._is_done = False

    def gather(self, inputs: Sequence[Sequence[int]], vectors: Vectors, meter: Meter, *, skip: int) -> None:
        """Keeps some of the inputs that are new, as long as there are too few, and compares them when there are enough.

        Args:
            inputs: Token ids of each input.
            vectors: Theirs, of the approximate encoder.
            meter: Where it is noted how far vectors agree; encoding exactly is its phase ``agreement``.
            skip: Tokens at the start of each input that are not pooled.
        """
        if self._is_done:
            return
        keys = {(skip, tuple(ids)): row for row, ids in enumerate(inputs)}
        new = [(key, row) for key, row in keys.items() if key not in self._gathered]
        count = min(len(new), TEXTS - len(self._gathered))
        chosen = [new[number * len(new) // count] for number in range(count)]  # from all over
        self._gathered |= {key: vectors[row].copy() for key, row in chosen}
        if len(self._gathered) == TEXTS:
            self.compare(meter)
        elif self._gathered:
            meter.at_the_end(self.compare)

    def compare(self, meter: Meter) -> None:
        """Encodes exactly what was gathered, says how far the vectors agree, and notes it in the meter; does nothing the second time."""
        if self._is_done:
            return
        with meter.phase("agreement"):  # apart from the encoding that is measured
            exact = self._exactly(meter)
        measured = agreement(np.stack(list(self._gathered.values())), exact)
        self._is_done, self._gathered = True, {}
        meter.agreement(self._label, asdict(measured))
        log.warning("%s is approximate: %s; %s", self._label, measured.line, _HOW_TO_MEASURE)

    def _exactly(self, meter: Meter) -> Vectors:
        """The exact vectors of what was gathered, in its order."""
        from convbench.backends.encode import encode_inputs

        loaded = self._load()
        found: dict[tuple[int, Ids], Vectors] = {}
        for skip in sorted({skip for skip, _ in self._gathered}):
            keys = [key for key in self._gathered if key[0] == skip]
            vectors = encode_inputs(loaded, [ids for _, ids in keys], meter, batch_tokens=8192, skip=skip)
            found |= dict(zip(keys, vectors, strict=True))
        return np.stack([found[key] for key in self._gathered])


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
