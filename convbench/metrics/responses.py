"""What every response metric shares: which turns have something to compare, and what the others score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from convbench.metrics.base import MISSING, response_references
from convbench.types import Score, Turn, TurnRecord

NO_REFERENCE = "no reference response is known for this turn"

Compared: TypeAlias = tuple[Sequence[float | None], str | None]
"""One value a measure, and the reason where there is something to say about them."""


def response_of(records: Mapping[str, TurnRecord], turn: Turn) -> str | None:
    """The response that a run gives to ``turn``, or None."""
    record = records.get(turn.id)
    return record.response if record else None


def score_responses(
    turns: Sequence[Turn],
    records: Mapping[str, TurnRecord],
    names: Sequence[str],
    compare: Callable[[str, list[str]], Compared],
) -> list[Score]:
    """One score for each (turn, measure), turns in order.

    A turn without reference responses has no value, whatever the run holds, so that every system is averaged over the same turns; a
    turn without a response scores 0.

    Args:
        turns: The turns.
        records: The run.
        names: The measures.
        compare: Response and reference texts (one or more) -> values in the order of ``names``, and a reason.
    """
    scores = []
    for turn in turns:
        values, reason = _compared(turn, response_of(records, turn), len(names), compare)
        scores += [Score(turn.id, name, value, reason) for name, value in zip(names, values, strict=True)]
    return scores


def _compared(turn: Turn, response: str | None, count: int, compare: Callable[[str, list[str]], Compared]) -> Compared:
    references = response_references(turn)
    if not references:
        return [None] * count, NO_REFERENCE
    if response is None:
        return [0.0] * count, MISSING
    return compare(response, references)
