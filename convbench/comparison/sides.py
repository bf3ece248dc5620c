"""Both sides of every run of a task: where its rankings put the gold passages, and what its responses are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convbench.comparison.task import Task, Yardstick
from convbench.metrics.signatures import parsed
from convbench.types import Turn, TurnRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """One task, seen from both sides. Rows are turns, columns entrants, as in ``task.values``.

    Attributes:
        task: The task.
        retrieval: The declared retrieval measure; None where no run has rankings.
        response: The declared response measure; None where no run has responses.
        ranks: Rank of the best-ranked gold passage, from 1; infinite where none was retrieved; NaN where a turn is not judged, or a run has
            no rankings.
        retrieved: Values of the retrieval measure; NaN where there is none.
        responses: Values of the response measure; NaN where there is none.
        depth: Passages of the longest ranking.
    """

    task: Task
    retrieval: Yardstick | None
    response: Yardstick | None
    ranks: NDArray[np.float64]
    retrieved: NDArray[np.float64]
    responses: NDArray[np.float64]
    depth: int

    @property
    def both(self) -> list[int]:
        """Places of the entrants that have rankings and responses."""
        joined = ~np.isnan(self.ranks) & ~np.isnan(self.responses)
        return [int(place) for place in np.flatnonzero(joined.any(axis=0))]


def sides_of(task: Task) -> Sides:
    """Reads both sides of a task.

    A turn is judged where it has a gold passage and the retrieval measure a value. A passage counts as gold from the grade on that the
    measure takes for relevant (2 in TREC CAsT 2020, 1 elsewhere).
    """
    retrieval, response = task.primary("ranking"), task.primary("response")
    response = response if response is not None and response.higher_is_better else None
    empty = np.full((len(task.turns), len(task.entrants)), np.nan)
    retrieved = task.values[retrieval.key] if retrieval else empty
    responses = task.values[response.key] if response else empty
    level = int(parsed(retrieval.signature).get("rel", "1")) if retrieval else 1
    gold = [frozenset(id_ for id_, grade in turn.gold.items() if grade >= level) for turn in task.turns]
    ranks = np.stack([_best_ranks(task.turns, gold, entrant.records) for entrant in task.entrants], axis=1)
    judged = ~np.isnan(retrieved) & np.array([bool(ids) for ids in gold], dtype=bool)[:, None]
    depths = [len(record.passages) for entrant in task.entrants for record in entrant.records.values()]
    return Sides(task, retrieval, response, np.where(judged, ranks, np.nan), retrieved, responses, max(depths, default=0))


def _best_ranks(turns: Sequence[Turn], gold: Sequence[frozenset[str]], records: Mapping[str, TurnRecord]) -> NDArray[np.float64]:
    """Of one run; a turn that it lacks has found nothing."""
    found = np.full(len(turns), np.inf)
    for place, (turn, ids) in enumerate(zip(turns, gold, strict=True)):
        if (record := records.get(turn.id)) and (rank := record.rank_of(ids)) is not None:
            found[place] = rank
    return found
