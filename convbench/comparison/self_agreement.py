"""Self-agreement of unified models, as ``convbench agree`` left it in run folders."""

from __future__ import annotations

from typing import get_args

import numpy as np

from convbench.analysis.estimates import estimated_means
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
    columns = [
        [getattr(agreement.turns.get(turn.id), name, None) for turn in task.turns]
        for _, agreement in found
        for name in ("rank_correlation", "top1")
    ]
    values = np.array(columns, dtype=np.float64).reshape(len(columns), len(task.turns)).T
    estimates = iter(estimated_means(values, task.clusters, settings.resampling))
    return tuple(
        Agreement(label, agreement.k, agreement.response, rank_correlation=next(estimates), top1=next(estimates))
        for label, agreement in found
    ), tuple(notes)


def _could_agree(entrant: Entrant) -> bool:
    """Whether a run has the two sides of one model: it responds, and its rankings are its own."""
    results = entrant.run.results
    return results.system.get("kind") == "unified" and "evidence" in results.conditions and "rankings" not in results.conditions
