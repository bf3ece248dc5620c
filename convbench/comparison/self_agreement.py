"""Self-agreement of unified models, as ``convbench agree`` left it in run folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from convbench.analysis.clusters import Clusters
from convbench.analysis.estimates import Estimate, estimated_means
from convbench.analysis.resampling import Resampling
from convbench.comparison.consistency_model import Agreement
from convbench.comparison.model import Settings
from convbench.comparison.task import Entrant, Task
from convbench.errors import ConvbenchError
from convbench.harness.agreement_file import RunAgreement, Whose, agreement_path, read_agreement


def agreement_of(task: Task, settings: Settings) -> tuple[tuple[Agreement, ...], tuple[str, ...]]:
    """What the runs' agreement files say, and notes on those that cannot be used or are still to be made."""
    found: list[tuple[str, RunAgreement]] = []
    notes = []
    for entrant in task.entrants:
        paths = [path for response in get_args(Whose) if (path := agreement_path(entrant.run.path, response)).exists()]
        for path in paths:
            try:
                found.append((entrant.label, read_agreement(path)))
            except ConvbenchError as error:  # the rest of the comparison does not rest on it
                notes.append(f"self-agreement of {entrant.label} is left out: {error}")
        if not paths and _could_agree(entrant):
            notes.append(f"no self-agreement of {entrant.label}: `convbench agree RUN`")
    turn_ids = [turn.id for turn in task.turns]
    estimated = [
        Agreement(label, agreement.k, agreement.response, *agreement_estimates(agreement, turn_ids, settings.resampling))
        for label, agreement in found
    ]
    return tuple(estimated), tuple(notes)


def agreement_estimates(agreement: RunAgreement, turn_ids: Sequence[str], plan: Resampling) -> tuple[Estimate, Estimate]:
    """Mean rank correlation, and the share of turns on which both orders put the same passage first; over the turns that have them.

    Args:
        agreement: What the file says.
        turn_ids: The turns.
        plan: Resamples, seed and level.
    """
    turns = [agreement.turns.get(turn_id) for turn_id in turn_ids]
    values = np.array([(turn.rank_correlation, turn.top1) if turn else (None, None) for turn in turns], dtype=np.float64)
    correlation, top1 = estimated_means(values.reshape(len(turns), 2), Clusters.of(turn_ids), plan)
    return correlation, top1


def _could_agree(entrant: Entrant) -> bool:
    """Whether a run has the two sides of one model: it responds, and its rankings are its own."""
    results = entrant.run.results
    return results.system.get("kind") == "unified" and "evidence" in results.conditions and "rankings" not in results.conditions
