"""Token overlap as SQuAD's official evaluation defines it (Rajpurkar et al. 2016), and CoQA's way with several references.

The normalisation is kept as published for comparability, although it makes "3.5 million" equal to "35 million".
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalize(text: str) -> str:
    """Lower case, then without ASCII punctuation, then without articles, then with single spaces."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", bare).split())


def exact_match(reference: str, prediction: str) -> float:
    """1 if both texts are the same after normalisation, else 0."""
    return float(normalize(reference) == normalize(prediction))


def f1(reference: str, prediction: str) -> float:
    """Harmonic mean of precision and recall over the bags of normalised tokens; two empty texts agree (1)."""
    expected, given = normalize(reference).split(), normalize(prediction).split()
    if not expected or not given:
        return float(expected == given)
    common = (Counter(expected) & Counter(given)).total()
    if not common:
        return 0.0
    precision, recall = common / len(given), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def leave_one_out(scores: Sequence[float]) -> float:
    """Combines the scores against each reference as the CoQA and TopiOCQA evaluations do.

    Every reference is left out in turn, the best score against the rest is taken, and these are averaged, so that a system and a
    person (who cannot be compared with their own answer) face equally many references. A single reference is used as it is.
    """
    if len(scores) == 1:
        return scores[0]
    best = [max([*scores[:index], *scores[index + 1 :]]) for index in range(len(scores))]
    return sum(best) / len(best)
