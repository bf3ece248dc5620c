"""The names of rank measures, and ir_measures' objects that compute them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convbench.errors import UsageError

_NAME = re.compile(r"(nDCG|RR|MAP|AP|R|P|Success|Hits)(?:@([1-9][0-9]{0,5}))?")
_WHOLE = ("nDCG", "RR", "MAP", "AP")
"""Measures that need no cutoff."""


@dataclass(frozen=True, slots=True)
class RankMeasure:
    """One rank measure.

    Attributes:
        cutoff: Passages it looks at.
        cut: Passages that rankings are cut to before it is computed.
        build: From the lowest relevant grade to ir_measures' object, always of one provider (pytrec_eval, that is, trec_eval).
    """

    cutoff: int
    cut: int
    build: Callable[[int], Any]


def rank_measure(name: str, depth: int) -> RankMeasure:
    """The measure of a name, for rankings of a depth.

    ir_measures computes ``RR@k`` and ``AP@k`` with another provider, which breaks ties in the opposite way; so rankings are cut at k and
    the measure is taken over all that is left.

    Raises:
        UsageError: There is no such measure.
    """
    from ir_measures import AP, RR, P, R, Success, nDCG

    match = _NAME.fullmatch(name)
    if match is None or (match[2] is None and match[1] not in _WHOLE):
        raise UsageError(
            f"retrieval: no measure {name!r}; expected nDCG@k, RR@k, R@k, P@k, Success@k, Hits@k or AP@k with a number, or nDCG, RR or MAP"
        )
    kind, cutoff = match[1], int(match[2]) if match[2] else depth
    graded: dict[str, Callable[[int], Any]] = {
        "nDCG": lambda rel: nDCG if match[2] is None else nDCG @ cutoff,
        "RR": lambda rel: RR(rel=rel),
        "MAP": lambda rel: AP(rel=rel),
        "AP": lambda rel: AP(rel=rel),
        "R": lambda rel: R(rel=rel) @ cutoff,
        "P": lambda rel: P(rel=rel) @ cutoff,
        "Success": lambda rel: Success(rel=rel) @ cutoff,
        "Hits": lambda rel: Success(rel=rel) @ cutoff,
    }
    return RankMeasure(cutoff, cutoff if kind in ("RR", "AP", "MAP") else depth, graded[kind])
