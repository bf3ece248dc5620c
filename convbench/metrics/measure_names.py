"""The names of rank measures and what they mean: a kind of measure, and how far down a ranking it looks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from convbench.errors import UsageError

Kind = Literal["nDCG", "RR", "AP", "R", "P", "Success"]

_NAME = re.compile(r"(nDCG|RR|MAP|AP|R|P|Success|Hits)(?:@([1-9][0-9]{0,5}))?")
_WHOLE = ("nDCG", "RR", "MAP", "AP")
"""Measures that need no cutoff."""
_OTHER_NAMES = {"MAP": "AP", "Hits": "Success"}


@dataclass(frozen=True, slots=True)
class RankMeasure:
    """One rank measure.

    Attributes:
        kind: What is measured.
        cutoff: Passages it looks at.
        whole: Its name has no cutoff: the ideal ranking of nDCG is then as long as there are gold passages.
    """

    kind: Kind
    cutoff: int
    whole: bool


def rank_measure(name: str, depth: int) -> RankMeasure:
    """The measure of a name, for rankings of a depth.

    Raises:
        UsageError: There is no such measure.
    """
    match = _NAME.fullmatch(name)
    if match is None or (match[2] is None and match[1] not in _WHOLE):
        raise UsageError(
            f"retrieval: no measure {name!r}; expected nDCG@k, RR@k, R@k, P@k, Success@k, Hits@k or AP@k with a number, or nDCG, RR or MAP"
        )
    kind = cast(Kind, _OTHER_NAMES.get(match[1], match[1]))
    return RankMeasure(kind, int(match[2]) if match[2] else depth, whole=match[2] is None)
