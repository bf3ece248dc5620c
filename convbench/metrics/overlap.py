"""Bags of tokens in common: precision, recall and F1, as SQuAD's evaluation and its many descendants count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Overlap(NamedTuple):
    """Shares of tokens in common.

    Attributes:
        precision: Of the given tokens, those that are expected.
        recall: Of the expected tokens, those that are given.
        f1: Their harmonic mean.
        exact: 1 where both are the same tokens in the same order, else 0.
    """

    precision: float
    recall: float
    f1: float
    exact: float


def overlap(expected: Sequence[str], given: Sequence[str], empty: float = 1.0) -> Overlap:
    """Compares two texts' tokens.

    Nothing given has precision 0, and nothing expected has recall 1, as in instruct-qa (Adlakha et al. 2024); F1 is 0 where one side is
    empty.

    Args:
        expected: Tokens of the reference.
        given: Tokens of the response.
        empty: F1 where both sides are empty.
    """
    exact = float(list(expected) == list(given))
    if not expected or not given:
        both = not expected and not given
        return Overlap(precision=0.0, recall=float(not expected), f1=empty if both else 0.0, exact=exact)
    common = (Counter(given) & Counter(expected)).total()  # goes through the left one, and responses are short
    if not common:
        return Overlap(0.0, 0.0, 0.0, exact)
    precision, recall = common / len(given), common / len(expected)
    return Overlap(precision, recall, 2 * precision * recall / (precision + recall), exact)
