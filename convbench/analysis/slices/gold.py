"""Slicing by whether the conversation has needed the gold passages before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from convbench.analysis.slices.base import in_order
from convbench.types import Conversation, TurnRecord

ORDER = ("none", "some", "all")


class GoldSeen:
    """How many of the gold passages were gold before."""

    name = "gold-seen"
    title = "Gold passages seen before"
    description = "How many of the turn's gold passages were gold of an earlier turn of the conversation; turns without gold have no label."

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> dict[str, str]:
        """None, some or all."""
        found: dict[str, str] = {}
        earlier: set[str] = set()
        for turn in conversation.turns:
            if turn.gold:
                seen = earlier & turn.gold.keys()
                found[turn.id] = "none" if not seen else "all" if len(seen) == len(turn.gold) else "some"
                earlier |= turn.gold.keys()
        return found

    def order(self, labels: Collection[str]) -> list[str]:
        """None, some, all."""
        return in_order(labels, ORDER)
