"""What runs under other conditions have finished already: stages whose rows depend on the very same things are not computed again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from convbench.harness.costs import CostLog
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan, PlannedStage

log = logging.getLogger(__name__)


def donor_of(planned: PlannedStage, donors: Sequence[Path]) -> Path | None:
    """The first of several run folders that has finished a stage under its key, where it is not finished in its own; else None."""
    if not donors or planned.output.is_finished():
        return None
    return next((path for path in donors if planned.output.elsewhere(RunFolder(path).stages).is_finished()), None)


def take_over(plan: Plan, donors: Sequence[Path]) -> None:
    """Copies every stage that another run folder has finished: its rows, its manifest and its costs.

    Args:
        plan: The run, whose folder is locked.
        donors: Run folders, such as those of the same system under other conditions.

    Raises:
        StorageError: The disk is full or the folder cannot be written to.
    """
    taken: dict[Path, list[str]] = {}
    for planned in plan.stages:
        donor = donor_of(planned, donors)
        if donor is not None:
            stages = RunFolder(donor).stages
            CostLog(plan.folder.stages, planned.stage.name, planned.key).take_over(stages)  # first, as rows that are there have costs
            planned.output.take_over(planned.output.elsewhere(stages))
            taken.setdefault(donor, []).append(planned.stage.name)
    for donor, names in taken.items():
        log.info("%s: %s taken over from %s", plan.folder.path, ", ".join(names), donor)
