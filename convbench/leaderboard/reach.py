"""What the test behind the groups cannot find on a track, however large a difference is: few conversations, many comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from convbench.analysis.resampling import smallest_p
from convbench.leaderboard.separate import ALPHA, resampling
from convbench.leaderboard.standings import Row, Standings
from convbench.report.words import counted


def out_of_reach(standings: Sequence[Standings]) -> str:
    """Says that no two systems of a track can be told apart, with the numbers; empty where they can.

    Of the 2^n ways to flip n conversations two are as extreme as any data, so that no p is below 2^(1 - n). Holm's correction multiplies
    the smallest p of m tests by m. Where that is above the level already, letters say nothing but that there are too few conversations.

    Args:
        standings: Of all sides of the track: their comparisons are one family.
    """
    tests = sum(comb(len(_competing(each)), 2) for each in standings)
    counts = [row.scores[each.ranked.by].n_conversations for each in standings for row in _competing(each)]
    known = [count for count in counts if count is not None]
    if not tests or len(known) < len(counts):
        return ""
    smallest = smallest_p(max(known), resampling(tests))
    if smallest * tests <= ALPHA:
        return ""
    return (
        f"No difference is large enough to be found here: over {counted(max(known), 'conversation')} p is never below {smallest:.2g}, and "
        f"with {counted(tests, 'comparison')} on this track the smallest has to be at most {ALPHA / tests:.2g}."
    )


def _competing(standings: Standings) -> list[Row]:
    return [row for row in standings.rows if row.apart is not None]
