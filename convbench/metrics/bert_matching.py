"""BERTScore of one pair of embedded texts, and the weights of their tokens."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from convbench.metrics.bert_encoding import Embedding, Ids

Triple: TypeAlias = tuple[float, float, float]
"""Precision, recall and F1."""

_SPECIAL = 2
"""Tokens of a text that bert-score takes for empty."""


def match(candidate: Embedding, candidate_weights: Sequence[float], reference: Embedding, reference_weights: Sequence[float]) -> Triple:
    """Precision, recall and F1 of greedy matching, as ``bert_score.utils.greedy_cos_idf`` has them for a pair beside longer ones.

    There the best similarity of a token is at least 0, that of the padding. For the longest texts of a batch it is not, so their values
    depend on what is compared with them; here all are treated alike. Precision and recall are NaN where all weights of the text in
    question are 0, and 0 where one of the texts has two tokens; F1 is computed before the latter, and 0 where it is undefined.

    Args:
        candidate: Shape (tokens, dim), rows of length 1.
        candidate_weights: One a token.
        reference: Likewise.
        reference_weights: Likewise.
    """
    similarity = candidate @ reference.T
    precision = _weighted(similarity.max(axis=1, initial=0.0), candidate_weights)
    recall = _weighted(similarity.max(axis=0, initial=0.0), reference_weights)
    total = precision + recall
    f1 = 2 * precision * recall / total if total else 0.0
    if _SPECIAL in (len(candidate), len(reference)):
        precision = recall = 0.0
    return precision, recall, 0.0 if math.isnan(f1) else f1


def _weighted(values: Embedding, weights: Sequence[float]) -> float:
    total = math.fsum(weights)
    return float(np.dot(values, np.asarray(weights, dtype=np.float64))) / total if total else math.nan


def equal_weights(special: Collection[int]) -> Mapping[int, float]:
    """Token id -> 1, or 0 for special tokens."""
    return defaultdict(lambda: 1.0, dict.fromkeys(special, 0.0))


def idf_weights(rows: Sequence[Ids]) -> Mapping[int, float]:
    """Token id -> inverse document frequency, as ``bert_score.utils.get_idf_dict`` computes it.

    Args:
        rows: Token ids of each text; texts that come twice count twice.
    """
    counts = Counter(token for row in rows for token in set(row))
    most = math.log(len(rows) + 1)
    return defaultdict(lambda: most, {token: math.log((len(rows) + 1) / (count + 1)) for token, count in counts.items()})
