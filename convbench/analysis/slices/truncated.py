"""Slicing by whether everything fitted into the compared systems' windows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from convbench.analysis.slices.base import in_order
from convbench.types import Conversation, TurnRecord

ORDER = ("none", "some")


class Truncated:
    """Whether a compared system had to cut something."""

    name = "truncated"
    title = "Truncated"
    description = (
        "some: at least one compared run notes that something did not fit; none: none does; turns of which no run notes whether it fitted "
        "have no label."
    )

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> dict[str, str]:
        """None or some. Ledgers are read as ``results.json`` reads them: only those that say what was cut count."""
        found: dict[str, str] = {}
        for turn in conversation.turns:
            cuts = [run[turn.id].ledger.get("truncated") for run in runs if turn.id in run]
            if known := [cut for cut in cuts if isinstance(cut, Mapping)]:
                found[turn.id] = "some" if any(known) else "none"
        return found

    def order(self, labels: Collection[str]) -> list[str]:
        """None, some."""
        return in_order(labels, ORDER)
