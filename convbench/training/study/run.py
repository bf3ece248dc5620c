"""A whole study: cells seed by seed, and a report over what is finished after each seed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby

from convbench.errors import ConvbenchError, UsageError
from convbench.training.study.execute import Workshop, finish_cells
from convbench.training.study.finished import finished_cells
from convbench.training.study.plan import Cell
from convbench.training.study.report import StudyReport, report_of
from convbench.training.study.write import write_study


def run_study(shop: Workshop, cells: Sequence[Cell]) -> tuple[StudyReport | None, list[ConvbenchError]]:
    """Works through cells, and writes the report whenever a seed is through.

    Args:
        shop: The study.
        cells: Those that are to be finished, seed by seed.

    Returns:
        The last report, None where no cell of the study is finished; and the errors of the cells that failed.

    Raises:
        StorageError: The disk is full.
        UsageError: A measure of the study is not among those of its runs, or a launcher started several processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("a study trains every cell in one process: start it without a launcher, and once for each GPU to use several")
    report, errors = None, list[ConvbenchError]()
    for _, same_seed in groupby(cells, lambda cell: cell.seed):
        errors += finish_cells(shop, list(same_seed))
        if finished_cells(shop).cells:
            report = report_of(shop)
            write_study(report)
    return report, errors
