"""Does better retrieval become better responses? Every part of the answer, without a judge, for one task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from convbench.comparison.consistency_model import Consistency
from convbench.comparison.grids import grids_of
from convbench.comparison.ladders import evidence_ladders, history_ladders
from convbench.comparison.model import Settings
from convbench.comparison.outcomes import joint_of, outcomes_of, rank_quality_of
from convbench.comparison.self_agreement import agreement_of
from convbench.comparison.sides import Sides, sides_of
from convbench.comparison.support import support_of
from convbench.comparison.task import Task
from convbench.views.evidence import EVIDENCE_LADDER


def consistency_of(task: Task, settings: Settings) -> Consistency:
    """All parts. One that the runs do not allow is empty, and a note says what to run.

    Args:
        task: The runs.
        settings: k of a hit, the value from which on a response is good, and the resampling.

    Raises:
        UsageError: A run's records are not those that were scored.
    """
    sides = sides_of(task)
    agreement, agreement_notes = agreement_of(task, settings)
    found = Consistency(
        response_measure=sides.response.key if sides.response else None,
        retrieval_measure=sides.retrieval.key if sides.retrieval else None,
        hit_depth=settings.hit_depth,
        good=settings.good,
        outcomes=outcomes_of(sides, settings),
        by_rank=rank_quality_of(sides, settings),
        joint=joint_of(sides, settings),
        support=support_of(task, settings),
        evidence=evidence_ladders(sides, settings),
        history=history_ladders(sides, settings),
        grids=grids_of(sides, settings),
        agreement=agreement,
    )
    return replace(found, notes=(*_notes(sides, found), *agreement_notes))


def _notes(sides: Sides, found: Consistency) -> Iterator[str]:
    dataset = sides.task.dataset.name
    if sides.response is None:
        yield "no response measure whose higher values are better and that pairs are tested by: quality of responses is not looked at"
    elif sides.retrieval is None:
        yield "no run has rankings: hits, rank of the gold and joint score need them"
    elif not found.outcomes:
        yield "no run has both rankings and responses: hits, rank of the gold and joint score need both"
    if any(_blind(sides, place) for place in sides.both):
        yield "runs that were shown other passages than they retrieved: a hit says what was retrieved there, not what was read"
    if not found.evidence:
        yield f"no evidence ladder: `convbench run SYSTEM -d {dataset} --evidence ladder`, and compare its runs"
    if not found.history:
        yield f"no history ladder: `convbench run SYSTEM -d {dataset} --history ladder`, and compare its runs"
    if not found.grids:
        yield (
            "no retriever × generator grid: run each of two systems on the other's rankings "
            f"(`convbench run SYSTEM -d {dataset} --rankings RUN`), and compare these two with the two runs that lent them"
        )


def _blind(sides: Sides, place: int) -> bool:
    """Whether the responder did not see what was retrieved."""
    entrant = sides.task.entrants[place]
    shown = entrant.run.results.conditions.get("evidence")
    return not entrant.is_reference and shown != "retrieved" and shown in EVIDENCE_LADDER
