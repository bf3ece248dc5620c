"""Copies of a passage tie, whatever the matrix product made of them.

Some processors' kernels sum a product in another order in another place of a large matrix, so that equal vectors get scores that differ in
the last bits. The tie rule can only choose among scores that are equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.backends.base import Vectors
from convbench.retrieval.shards import Shards

ROUNDING = 1e-6
"""Scores of equal vectors differ by less than this times the product of both lengths (seen: 2e-8 at 512 dimensions)."""

_HEAD = 16
"""Values by which vectors are told apart before they are read whole."""


def even_out(scores: Vectors, rows: npt.NDArray[np.int64], nearness: npt.NDArray[np.float64], shards: Shards) -> None:
    """Gives equal vectors among each query's neighbours one score, the largest of theirs, in place.

    Args:
        scores: Shape (n, k), best first.
        rows: Their rows, shape (n, k).
        nearness: For each query, how far apart scores of equal vectors may be.
        shards: The vectors; only those whose scores are nearly equal are looked at.
    """
    with np.errstate(invalid="ignore"):  # where fewer than k are found, the rest is -inf
        close = scores[:, :-1] - scores[:, 1:] <= nearness[:, None]
    near = np.zeros(scores.shape, dtype=bool)
    near[:, :-1] |= close
    near[:, 1:] |= close
    near &= rows >= 0
    wanted = np.unique(rows[near])
    kinds = _kinds(wanted, shards)
    copied = wanted[np.bincount(kinds)[kinds] > 1]
    near &= np.isin(rows, copied)
    for query in np.flatnonzero(near.any(axis=1)):
        places = np.flatnonzero(near[query])
        own = kinds[np.searchsorted(wanted, rows[query, places])]
        best = np.full(own.max() + 1, -np.inf, dtype=np.float32)
        np.maximum.at(best, own, scores[query, places])
        scores[query, places] = best[own]
        order = np.argsort(-scores[query], kind="stable")
        scores[query], rows[query] = scores[query, order], rows[query, order]


def _kinds(rows: npt.NDArray[np.int64], shards: Shards) -> npt.NDArray[np.int64]:
    """A number for each of ascending rows, the same for equal vectors; most vectors are told apart by their first values."""
    kinds = _numbered(shards.take(rows, _HEAD))
    alike = np.bincount(kinds, minlength=1)[kinds] > 1
    if alike.any():
        kinds[alike] = len(rows) + _numbered(shards.take(rows[alike]))
    return kinds


def _numbered(vectors: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """A number for each vector, the same for those of the same bytes."""
    as_bytes = np.ascontiguousarray(vectors).view(f"V{vectors.shape[1] * vectors.itemsize}").reshape(-1)
    return np.unique(as_bytes, return_inverse=True)[1].astype(np.int64)
