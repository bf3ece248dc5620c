"""Response values by the rank of the gold passage: does a response get worse as its evidence moves down?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_FOUND = "not found"
_LAST_RANKS = (1, 2, 3, 5, 10, 20)


class RankBucket(NamedTuple):
    """Ranks ``first`` to ``last``; both are infinite for gold that was not found."""

    label: str
    first: float
    last: float


def rank_buckets(depth: int) -> list[RankBucket]:
    """1, 2, 3, 4-5, 6-10, 11-20, 21 to the depth, and not found.

    Args:
        depth: Of the deepest ranking; buckets beyond it are left out.
    """
    ends = [*(last for last in _LAST_RANKS if last < depth), depth] if depth > 0 else []
    firsts = [end + 1 for end in [0, *ends[:-1]]]
    found = [RankBucket(str(last) if first == last else f"{first}-{last}", first, last) for first, last in zip(firsts, ends, strict=False)]
    return [*found, RankBucket(NOT_FOUND, np.inf, np.inf)]


def by_bucket(ranks: NDArray[np.float64], values: NDArray[np.float64], buckets: Sequence[RankBucket]) -> NDArray[np.float64]:
    """The values of each bucket's turns, NaN on all others.

    Args:
        ranks: Of the best gold passage, infinite where it was not found, NaN where a turn is not judged; shape (turns, runs).
        values: Response values; the same shape.
        buckets: The buckets.

    Returns:
        Shape (turns, runs × buckets): the buckets of the first run, then those of the next.
    """
    first, last = (np.array(ends) for ends in zip(*((bucket.first, bucket.last) for bucket in buckets), strict=True))
    inside = (ranks[:, :, None] >= first) & (ranks[:, :, None] <= last)
    return np.where(inside, values[:, :, None], np.nan).reshape(len(ranks), ranks.shape[1] * len(buckets))
