"""Copies of a passage tie, whatever the matrix product made of them.

Some processors' kernels sum a product in another order in another place of a large matrix, so that equal vectors get scores that differ in
the last bits. The tie rule can only choose among scores that are equal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from convbench.backends.base import Vectors
from convbench.retrieval.shards import Shards

ROUNDING = 1e-6
"""Scores of equal vectors differ by less than this times the product of both lengths (seen: 2e-8 at 512 dimensions)."""


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
    if not near.any():
        return
    wanted = np.unique(rows[near])
    _, kinds = np.unique(shards.take(wanted).view(np.uint8).reshape(len(wanted), -1), axis=0, return_inverse=True)
    if kinds.max() + 1 == len(wanted):
        return  # no two are equal
    for query in np.flatnonzero(near.any(axis=1)):
        places = np.flatnonzero(near[query])
        own = kinds.reshape(-1)[np.searchsorted(wanted, rows[query, places])]
        best = np.full(own.max() + 1, -np.inf, dtype=np.float32)
        np.maximum.at(best, own, scores[query, places])
        scores[query, places] = best[own]
        order = np.argsort(-scores[query], kind="stable")
        scores[query], rows[query] = scores[query, order], rows[query, order]
