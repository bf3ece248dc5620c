"""``convbench score``: metrics on finished runs, without inference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from convbench.cli.environment_options import environment_options
from convbench.cli.metric_options import metric_options
from convbench.cli.reports_output import show_reports

if TYPE_CHECKING:
    from convbench.metrics.selection import Selection


@click.command("score")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN_DIR...")
@metric_options
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON on stdout.")
def command(
    runs: tuple[Path, ...],
    selection: Selection,
    cache: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Score finished run folders again: other metrics, another BERTScore model. Nothing is inferred.

    To score a run that another tool made, run it: `convbench run FILE -d DATASET --out RUN_DIR`.

    \b
    convbench score runs/first --metrics bertscore --bertscore-model roberta-large
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.harness.run import rescore
    from convbench.io.cache import cache_root
    from convbench.report.write import write_reports

    scored = [(path, rescore(path, selection, cache=cache or cache_root(), offline=offline)) for path in runs]
    show_reports(write_reports(scored), scored, as_json=as_json)
