"""One score of several rankings: reciprocal ranks, or weighted sums of normalised scores.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009) gives a passage the sum over the rankings that hold it of::

    weight / (k + rank)

ranks beginning with 1; Cormack's weights are all 1 and his k is 60. A weighted sum adds the scores themselves, which have to be made
comparable first (Fox and Shaw, TREC-2 1993; Lee, SIGIR 1997: ``min-max``). A ranking that does not hold a passage gives it the lowest of
its own normalised scores, as Pyserini's hybrid search does: being found never counts for less than not being found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from convbench.types import Ranking

Normalize = Literal["min-max", "z-score", "none"]


def reciprocal_ranks(rankings: Sequence[Ranking], weights: Sequence[float], k: int) -> dict[str, float]:
    """Reciprocal rank fusion.

    Args:
        rankings: In canonical order.
        weights: One for each ranking.
        k: Added to every rank.

    Returns:
        Passage id -> score.
    """
    parts: dict[str, list[float]] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, (passage_id, _) in enumerate(ranking.passages, 1):
            parts.setdefault(passage_id, []).append(weight / (k + rank))
    return {passage_id: math.fsum(part) for passage_id, part in parts.items()}


def weighted_sums(rankings: Sequence[Ranking], weights: Sequence[float], normalize: Normalize) -> dict[str, float]:
    """Weighted sums of normalised scores.

    Args:
        rankings: In canonical order; an empty one adds nothing.
        weights: One for each ranking.
        normalize: How the scores of a ranking are made comparable with another's.

    Returns:
        Passage id -> score.
    """
    found = {passage_id for ranking in rankings for passage_id, _ in ranking.passages}
    parts: dict[str, list[float]] = {passage_id: [] for passage_id in found}
    for ranking, weight in zip(rankings, weights, strict=True):
        scores = normalized(ranking, normalize)
        absent = min(scores.values(), default=0.0)
        for passage_id, part in parts.items():
            part.append(weight * scores.get(passage_id, absent))
    return {passage_id: math.fsum(part) for passage_id, part in parts.items()}


def normalized(ranking: Ranking, normalize: Normalize) -> dict[str, float]:
    """The scores of a ranking.

    Args:
        ranking: The ranking.
        normalize: ``min-max``: the best is 1 and the last 0; ``z-score``: distance from their mean in standard deviations (those of the
            population); ``none``: as they are. Scores that do not differ are all 0 under the first two, as nothing tells them apart.

    Returns:
        Passage id -> score.
    """
    scores = np.array([score for _, score in ranking.passages], dtype=np.float64)
    if normalize != "none" and len(scores):
        shift, scale = (scores.min(), np.ptp(scores)) if normalize == "min-max" else (scores.mean(), scores.std())
        scores = (scores - shift) / scale if scale else np.zeros_like(scores)
    return {passage_id: score for (passage_id, _), score in zip(ranking.passages, scores.tolist(), strict=True)}
