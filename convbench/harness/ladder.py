"""Ladders: one system under every evidence condition, or under every history condition."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Literal

from convbench.datasets.loading import Dataset
from convbench.errors import UsageError
from convbench.systems.base import Settings, SystemConfig
from convbench.views.evidence import EVIDENCE_LADDER

log = logging.getLogger(__name__)

Axis = Literal["evidence", "history"]

LADDER = "ladder"
"""What stands for a whole ladder on the command line."""

RUNGS: dict[Axis, tuple[str, ...]] = {
    "evidence": EVIDENCE_LADDER,
    "history": ("query", "queries", "last-1", "last-3", "full", "full-own", "rewrite"),
}
"""The conditions of each ladder, in the order in which they are run."""


def laddered(history: str | None, evidence: str | None) -> Axis | None:
    """Which condition is run as a ladder; None where neither is.

    Raises:
        UsageError: Both are.
    """
    if history == evidence == LADDER:
        raise UsageError("--history ladder and --evidence ladder at once change two things from run to run: take one at a time")
    return "history" if history == LADDER else "evidence" if evidence == LADDER else None


def rungs(axis: Axis, config: SystemConfig, dataset: Dataset, settings: Settings) -> Sequence[tuple[str, SystemConfig]]:
    """The conditions of a ladder that a system can do on a dataset; of any other a warning says why it is left out.

    Args:
        axis: The ladder.
        config: The system.
        dataset: The dataset.
        settings: What the system is built with; no model is loaded.

    Raises:
        UsageError: It can do none of them.
    """
    errors: dict[str, UsageError] = {}
    found = list(_possible(axis, config, dataset, settings, errors))
    if not found:
        raise next(iter(errors.values()))
    for rung, error in errors.items():
        log.warning("%s on %s: --%s %s is left out: %s", config.name, dataset.name, axis, rung, error)
    return found


def _possible(
    axis: Axis, config: SystemConfig, dataset: Dataset, settings: Settings, errors: dict[str, UsageError]
) -> Iterator[tuple[str, SystemConfig]]:
    """Tries out each condition; those that cannot be done go to ``errors``."""
    for rung in RUNGS[axis]:
        conditions = {"history": None, "evidence": None, axis: rung}
        try:
            changed = config.with_conditions(**conditions)
            for stage in changed.build(settings).stages():
                stage.check(dataset.turns)
        except UsageError as error:
            errors[rung] = error
        else:
            yield rung, changed
