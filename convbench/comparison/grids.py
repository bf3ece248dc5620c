"""Retriever × generator: two systems, each writing from its own rankings and from the other's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from convbench.analysis.estimates import Estimate, estimated_means
from convbench.analysis.interaction import interactions
from convbench.comparison.conditions import generator_of, retriever_of, settings_of
from convbench.comparison.consistency_model import Grid
from convbench.comparison.model import Settings
from convbench.comparison.sides import Sides
from convbench.comparison.task import Entrant


class _Cells(NamedTuple):
    """Places of the entrants of a grid; retriever first in each name."""

    own: str
    other: str
    own_own: int
    own_other: int
    other_own: int
    other_other: int


def grids_of(sides: Sides, settings: Settings) -> tuple[Grid, ...]:
    """Every 2×2 that is complete among the entrants that were shown what was retrieved."""
    found = list(_complete(sides))
    if not found:
        return ()
    cells = np.stack([sides.responses[:, list(grid[2:])] for grid in found], axis=1)
    results = interactions(cells, sides.task.clusters, settings.resampling)
    values = iter(estimated_means(cells.reshape(len(cells), 4 * len(found)), sides.task.clusters, settings.resampling))
    grids = []
    for grid, result in zip(found, results, strict=True):
        pairs = [(grid.own, grid.own), (grid.own, grid.other), (grid.other, grid.own), (grid.other, grid.other)]
        shown = {pair: (sides.task.entrants[place].label, next(values)) for pair, place in zip(pairs, grid[2:], strict=True)}
        estimate = Estimate(result.mean, result.interval, result.n_turns, result.n_conversations)
        grids.append(Grid(grid.own, grid.other, shown, estimate, result.p))
    return tuple(grids)


def _complete(sides: Sides) -> Iterator[_Cells]:
    entrants = sides.task.entrants
    responding = [place for place in range(len(entrants)) if not np.isnan(sides.responses[:, place]).all()]
    usable = [place for place in responding if entrants[place].run.results.conditions.get("evidence") == "retrieved"]
    borrowing = [place for place in usable if retriever_of(entrants[place]) != generator_of(entrants[place])]
    whole = [place for place in usable if place not in borrowing]
    for first, second in combinations(borrowing, 2):
        one, other = entrants[first], entrants[second]
        if (retriever_of(one), generator_of(one)) != (generator_of(other), retriever_of(other)):
            continue
        writer = next((place for place in whole if _is_whole(entrants[place], one, other)), None)
        lender = next((place for place in whole if _is_whole(entrants[place], other, one)), None)
        if writer is None or lender is None:
            continue
        if _order(entrants, writer) < _order(entrants, lender):
            yield _Cells(entrants[writer].name, entrants[lender].name, writer, second, first, lender)
        else:
            yield _Cells(entrants[lender].name, entrants[writer].name, lender, first, second, writer)


def _is_whole(candidate: Entrant, writing: Entrant, lent: Entrant) -> bool:
    """Whether a run is the whole system: set as ``writing`` is, and its rankings are the very ones that ``lent`` was given."""
    return settings_of(candidate, "rankings") == settings_of(writing, "rankings") and _same_rankings(candidate, lent)


def _same_rankings(candidate: Entrant, lent: Entrant) -> bool:
    """Down to the depth of the run that was given them."""
    k = lent.run.results.conditions.get("k")
    made = {turn_id: [id_ for id_, _ in record.passages[:k]] for turn_id, record in candidate.records.items()}
    given = {turn_id: [id_ for id_, _ in record.passages] for turn_id, record in lent.records.items()}
    return made == given


def _order(entrants: Sequence[Entrant], place: int) -> tuple[bool, int]:
    """A unified system is the one whose own parts are asked about; else the first."""
    return entrants[place].run.results.system.get("kind") != "unified", place
