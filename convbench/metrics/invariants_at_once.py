"""The invariants of ``convbench.metrics.invariants`` over the values of many turns at once: which turns may break one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EXACT = 1e-10
"""Room for rounding: less than ``check_turn`` gives, so that whatever it refuses is found here."""
_ALIKE = ("P@1", "Success@1", "Hits@1", "RR@1")
_GROWING = ("RR", "R", "Success", "Hits")


def suspects(names: Sequence[str], values: Floats, one_gold: NDArray[np.bool_]) -> list[int]:
    """The turns that ``check_turn`` has to look at: every turn that it would refuse is among them, and hardly another.

    Args:
        names: The measures.
        values: Of every turn under every measure; shape (turns, measures).
        one_gold: Whether a turn has one gold passage, a relevant one; shape (turns,).
    """
    wrong = ~((values >= 0) & (values <= 1 + _EXACT)).all(axis=1)
    columns = {name: values[:, number] for number, name in enumerate(names)}
    for found in (*_unlike(columns), *_shrinking(columns)):
        wrong |= found
    wrong |= one_gold & _not_by_rank(columns, len(values))
    rows: list[int] = np.flatnonzero(wrong).tolist()
    return rows


def _unlike(columns: dict[str, Floats]) -> Iterator[NDArray[np.bool_]]:
    for first, second in pairwise(name for name in _ALIKE if name in columns):
        yield columns[first] != columns[second]


def _shrinking(columns: dict[str, Floats]) -> Iterator[NDArray[np.bool_]]:
    """A deeper cutoff finds no less."""
    for kind in _GROWING:
        deep = sorted((_cutoff(name), name) for name in columns if name.startswith(f"{kind}@"))
        for (_, shallow), (_, deeper) in pairwise(deep):
            yield columns[shallow] > columns[deeper] + _EXACT


def _not_by_rank(columns: dict[str, Floats], turns: int) -> NDArray[np.bool_]:
    """Where nDCG is not 1 / log2(rank + 1) within its cutoff and 0 beyond."""
    wrong = np.zeros(turns, dtype=bool)
    deepest = max((_cutoff(name) for name in columns if name.startswith("RR@")), default=0)
    if not deepest:
        return wrong
    reciprocal = columns[f"RR@{deepest}"]
    ranks = np.full(turns, math.inf)
    np.divide(1, reciprocal, out=ranks, where=reciprocal > 0)
    ranks = np.rint(ranks)
    for name, column in columns.items():
        if name.startswith("nDCG@") and _cutoff(name) <= deepest:
            expected = np.where(ranks <= _cutoff(name), 1 / np.log2(ranks + 1), 0)
            wrong |= ~(np.abs(column - expected) <= _EXACT)
    return wrong


def _cutoff(name: str) -> int:
    return int(name.partition("@")[2])
