"""Rank measures of many turns at once, on arrays.

What a measure needs of a ranking is where its judged passages stand, and there are few of them. So the arrays have a place for each judged
passage that was found, not one for each passage of a ranking. Sums run in the order in which trec_eval adds, so that values are those of
trec_eval, which is what ir_measures asks, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from convbench.metrics.measure_names import Kind, RankMeasure

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """Gold passages of turns, and where they stand in the turns' rankings. Grades below 1 may be left out: they count for nothing.

    Attributes:
        turns: How many turns there are; they are numbered from 0.
        gold_turns: The turn of each gold passage, ascending.
        gold_grades: Their grades, descending within a turn.
        hit_turns: The turn of each gold passage that is in its turn's ranking, ascending.
        hit_ranks: Their ranks, from 1, ascending within a turn.
        hit_grades: Their grades.
    """

    turns: int
    gold_turns: Ints
    gold_grades: Ints
    hit_turns: Ints
    hit_ranks: Ints
    hit_grades: Ints

    @classmethod
    def in_rankings(cls, grades: Ints, ends: Ints, gold_grades: Ints, gold_ends: Ints) -> Judged:
        """From rankings that lie one after the other.

        Args:
            grades: The grade of every ranked passage, best first; 0 for one that is not gold.
            ends: Where each turn's ranking ends in ``grades``; one that has none ends where it begins.
            gold_grades: The grades of every turn's gold passages, found or not, descending within a turn.
            gold_ends: Where each turn's end in ``gold_grades``.
        """
        places = np.flatnonzero(grades)
        hit_turns = np.searchsorted(ends, places, side="right")
        starts = ends - np.diff(ends, prepend=0)
        gold_turns = np.repeat(np.arange(len(gold_ends)), np.diff(gold_ends, prepend=0))
        return cls(len(ends), gold_turns, gold_grades, hit_turns, places - starts[hit_turns] + 1, grades[places])


def measured(judged: Judged, measures: Sequence[RankMeasure], relevant_from: int) -> Floats:
    """The values of every turn under every measure.

    Args:
        judged: The turns.
        measures: The measures.
        relevant_from: The lowest grade that counts as relevant; nDCG takes any grade from 1 on as its gain.

    Returns:
        Shape (turns, measures); 0 where a turn has no gold passage, or no ranking.
    """
    relevant = _Relevant.of(judged, relevant_from)
    gains = _Gains.of(judged)
    kinds: dict[Kind, Callable[[RankMeasure], Floats]] = {
        "nDCG": gains.ndcg,
        "RR": relevant.reciprocal_rank,
        "AP": relevant.average_precision,
        "R": relevant.recall,
        "P": relevant.precision,
        "Success": relevant.success,
    }
    values = np.empty((judged.turns, len(measures)))
    for column, measure in enumerate(measures):
        values[:, column] = kinds[measure.kind](measure)
    return values


@dataclass(frozen=True, slots=True)
class _Relevant:
    """The relevant passages that were found: turns, ranks, how many relevant ones stand up to each; and how many there are in all."""

    turns: Ints
    ranks: Ints
    so_far: Ints
    known: Ints

    @classmethod
    def of(cls, judged: Judged, relevant_from: int) -> _Relevant:
        relevant = judged.hit_grades >= relevant_from
        turns, ranks = judged.hit_turns[relevant], judged.hit_ranks[relevant]
        known = np.bincount(judged.gold_turns[judged.gold_grades >= relevant_from], minlength=judged.turns)
        return cls(turns, ranks, _places_within(turns, judged.turns), known)

    def _found(self, measure: RankMeasure) -> Ints:
        return np.bincount(self.turns[self.ranks <= measure.cutoff], minlength=len(self.known))

    def recall(self, measure: RankMeasure) -> Floats:
        return _ratio(self._found(measure), self.known)

    def precision(self, measure: RankMeasure) -> Floats:
        return self._found(measure) / measure.cutoff

    def success(self, measure: RankMeasure) -> Floats:
        return (self._found(measure) > 0).astype(np.float64)

    def reciprocal_rank(self, measure: RankMeasure) -> Floats:
        values = np.zeros(len(self.known))
        first = (self.so_far == 1) & (self.ranks <= measure.cutoff)
        values[self.turns[first]] = 1 / self.ranks[first]
        return values

    def average_precision(self, measure: RankMeasure) -> Floats:
        within = self.ranks <= measure.cutoff
        return _ratio(_sums(self.turns[within], self.so_far[within] / self.ranks[within], len(self.known)), self.known)


@dataclass(frozen=True, slots=True)
class _Gains:
    """The discounted gains of rankings, and of the ideal ones; nDCG is their ratio."""

    judged: Judged
    found: Floats
    ideal_ranks: Ints
    ideal: Floats

    @classmethod
    def of(cls, judged: Judged) -> _Gains:
        ideal_ranks = _places_within(judged.gold_turns, judged.turns)
        found = _gains(judged.hit_grades, judged.hit_ranks)
        return cls(judged, found, ideal_ranks, _gains(judged.gold_grades, ideal_ranks))

    def ndcg(self, measure: RankMeasure) -> Floats:
        judged = self.judged
        near = judged.hit_ranks <= measure.cutoff
        best = self.ideal_ranks <= (len(self.ideal) if measure.whole else measure.cutoff)
        reached = _sums(judged.hit_turns[near], self.found[near], judged.turns)
        return _ratio(reached, _sums(judged.gold_turns[best], self.ideal[best], judged.turns))


def _gains(grades: Ints, ranks: Ints) -> Floats:
    deepest = int(ranks.max(initial=0))
    return np.maximum(grades, 0) / _discounts(1 << deepest.bit_length())[ranks]


@lru_cache(maxsize=4)
def _discounts(upto: int) -> Floats:
    """log2(rank + 1) at each rank below ``upto``; of ``math``, as numpy's own may differ in the last bit."""
    return np.array([1.0, *(math.log2(rank + 1) for rank in range(1, upto))])


def _places_within(turns: Ints, count: int) -> Ints:
    """The place of each within its turn, from 1; ``turns`` is ascending."""
    sizes = np.bincount(turns, minlength=count)
    return np.arange(1, len(turns) + 1) - (np.cumsum(sizes) - sizes)[turns]


def _sums(turns: Ints, amounts: Floats, count: int) -> Floats:
    """The sum of each turn's amounts, added in the order in which they stand."""
    return np.bincount(turns, weights=amounts, minlength=count).astype(np.float64)


def _ratio(part: Ints | Floats, whole: Ints | Floats) -> Floats:
    """0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
