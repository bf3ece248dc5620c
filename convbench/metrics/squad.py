"""Token overlap as SQuAD's official evaluation defines it (Rajpurkar et al. 2016), and CoQA's way with several references.

The normalisation is kept as published for comparability, although it makes "3.5 million" equal to "35 million".
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalize(text: str) -> str:
    """Lower case, then without ASCII punctuation, then without articles, then with single spaces."""
    bare = text.lower().translate(PUNCTUATION)
    return " ".join(ARTICLE.sub(" ", bare).split())


def tokens(text: str) -> list[str]:
    """The words of the normalised text."""
    return normalize(text).split()


def leave_one_out(scores: Sequence[float]) -> float:
    """Combines the scores against each reference as the CoQA and TopiOCQA evaluations do.

    Every reference is left out in turn, the best score against the rest is taken, and these are averaged, so that a system and a
    person (who cannot be compared with their own answer) face equally many references. A single reference is used as it is.
    """
    if len(scores) == 1:
        return scores[0]
    best = [max([*scores[:index], *scores[index + 1 :]]) for index in range(len(scores))]
    return sum(best) / len(best)
