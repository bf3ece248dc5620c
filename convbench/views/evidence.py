"""Evidence views: which passages the responder sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from convbench.types import Turn

EvidenceName = Literal["retrieved", "gold", "none"]


def evidence_ids(name: EvidenceName, turn: Turn, retrieved: Sequence[str], count: int) -> tuple[str, ...]:
    """Ids of the passages a responder sees.

    Args:
        name: ``retrieved`` (the top passages), ``gold`` (the gold passages, best grade first) or ``none``.
        turn: The turn.
        retrieved: Passage ids in rank order.
        count: At most this many.
    """
    if name == "none":
        return ()
    if name == "gold":
        return tuple(sorted(turn.gold, key=lambda id_: (-turn.gold[id_], id_)))[:count]
    return tuple(retrieved[:count])
