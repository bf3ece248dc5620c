"""Where reports go: one in each run folder, and one over all where there are several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from convbench.harness.folder import RunFolder
from convbench.harness.results import Results
from convbench.report.build import write_report


def write_reports(runs: Sequence[tuple[Path, Results]], shared: Path | None = None) -> Path | None:
    """Writes ``report.md`` and ``report.html`` into each run folder, and over several runs into the folder above them.

    Args:
        runs: Run folders and their results.
        shared: Where the report over several runs goes; None means the deepest folder that holds them all.

    Returns:
        The HTML report that covers everything, or None without runs.
    """
    if not runs:
        return None
    for path, results in runs:
        folder = RunFolder(path)
        write_report([results], folder.report_md, folder.report_html)
    if len(runs) == 1:
        return RunFolder(runs[0][0]).report_html
    above = RunFolder(shared or Path(os.path.commonpath([path.absolute() for path, _ in runs])))
    write_report([results for _, results in runs], above.report_md, above.report_html)
    return above.report_html
