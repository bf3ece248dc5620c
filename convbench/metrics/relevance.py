"""Rankings judged passage by passage: what is shared by metrics whose relevance is read from texts instead of ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.metrics.base import MISSING
from convbench.metrics.retrieval import EMPTY, NO_GOLD
from convbench.retrieval.canonical import canonical
from convbench.types import Passage, Score, Turn, TurnRecord


def reciprocal_rank(relevant: Sequence[bool], cutoff: int) -> float:
    """1 / rank of the first relevant passage among the first ``cutoff``, 0 where there is none."""
    return next((1 / rank for rank, hit in enumerate(relevant[:cutoff], 1) if hit), 0.0)


def success(relevant: Sequence[bool], cutoff: int) -> float:
    """1 where one of the first ``cutoff`` passages is relevant, else 0."""
    return float(any(relevant[:cutoff]))


def score_rankings(
    turns: Sequence[Turn],
    records: Mapping[str, TurnRecord],
    names: Sequence[str],
    depth: int,
    values: Callable[[Turn, Sequence[str]], Sequence[float]],
    without: Callable[[Turn], tuple[float | None, str] | None] = lambda turn: None if turn.gold else (None, NO_GOLD),
) -> list[Score]:
    """One score for each (turn, measure), turns in order; a missing turn or an empty ranking scores 0.

    Args:
        turns: The turns.
        records: The run.
        names: The measures.
        depth: Passages of a ranking that count.
        values: Turn and ids of its ranking, canonical and cut -> values in the order of ``names``.
        without: What a turn scores that has nothing to be compared with, and why; None for the others.
    """
    scores = []
    for turn in turns:
        reason: str | None = None
        row: Sequence[float | None]
        if (exempt := without(turn)) is not None:
            row, reason = [exempt[0]] * len(names), exempt[1]
        elif turn.id not in records:
            row, reason = [0.0] * len(names), MISSING
        elif not records[turn.id].passages:
            row, reason = [0.0] * len(names), EMPTY
        else:
            row = values(turn, [id_ for id_, _ in canonical(turn.id, records[turn.id].passages, depth).passages])
        scores += [Score(turn.id, name, value, reason) for name, value in zip(names, row, strict=True)]
    return scores


def known_passages(store: PassageStore | None, ids: set[str]) -> dict[str, Passage | None]:
    """The passages of ``ids``; None for one that the collection lacks.

    Raises:
        UsageError: The collection was not handed over.
    """
    if store is None:
        raise UsageError("this metric reads passages: call open_passages(passages) before score")
    ordered = sorted(ids)
    known = [id_ for id_, row in zip(ordered, store.rows(ordered).tolist(), strict=True) if row >= 0]
    return {**dict.fromkeys(ordered), **dict(zip(known, store.get(known), strict=True))}
