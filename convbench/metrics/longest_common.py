"""The longest common subsequence of two texts' tokens, in whole machine words instead of cell by cell.

A bit for each token of the first text; each token of the second moves all of them on at once (Hyyrö 2004, "Bit-parallel LCS-length
computation revisited"). After some tokens of the second, the bits that are 0 mark where the length grows along the first. The table that
rouge_score fills has a cell for each pair of tokens and holds the same.
"""

from __future__ import annotations

from collections.abc import Sequence


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """How many tokens the longest common subsequence of two sequences has."""
    places = _places(first)
    whole = (1 << len(first)) - 1
    open_ = whole
    for token in second:
        if matched := open_ & places.get(token, 0):
            open_ = ((open_ + matched) | (open_ - matched)) & whole
    return len(first) - open_.bit_count()


def places_in_common(first: Sequence[str], second: Sequence[str]) -> int:
    """The places in ``first`` of one longest common subsequence, as bits: of several, the one that rouge_score takes.

    It walks back from the ends: a token that both have there is taken; else the second gives one up where the first needs all it has to be
    as long, which is where its last bit is 0, and the first gives one up elsewhere.
    """
    places = _places(first)
    whole = (1 << len(first)) - 1
    open_ = whole
    after = []
    for token in second:
        if matched := open_ & places.get(token, 0):
            open_ = ((open_ + matched) | (open_ - matched)) & whole
        after.append(open_)
    taken, row, column = 0, len(first) - 1, len(second) - 1
    if open_ == whole:
        return 0
    while row >= 0 and column >= 0:
        if first[row] == second[column]:
            taken |= 1 << row
            row, column = row - 1, column - 1
        elif after[column] >> row & 1:
            row -= 1
        else:
            column -= 1
    return taken


def _places(tokens: Sequence[str]) -> dict[str, int]:
    """Token -> the places where it stands, as bits."""
    places: dict[str, int] = {}
    for place, token in enumerate(tokens):
        places[token] = places.get(token, 0) | 1 << place
    return places
