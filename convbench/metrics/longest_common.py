"""The length of the longest common subsequence of two texts' tokens, in whole machine words instead of cell by cell."""

from __future__ import annotations

from collections.abc import Sequence


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """How many tokens the longest common subsequence of two sequences has.

    A bit for each token of the first; each token of the second moves all of them on at once (Hyyrö 2004, "Bit-parallel LCS-length
    computation revisited"). The table that rouge_score fills has a cell for each pair of tokens and gives the same number.
    """
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    whole = (1 << len(first)) - 1
    open_ = whole  # the bits that are 0 mark where the length grows
    for token in second:
        if matched := open_ & places.get(token, 0):
            open_ = ((open_ + matched) | (open_ - matched)) & whole
    return len(first) - open_.bit_count()
