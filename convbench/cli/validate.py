"""``convbench validate``: is this run in order?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from convbench.cli.options import DATASET_HELP, Source, data_options, environment_options

FOUND_ERRORS = 4


@click.command("validate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--dataset", "-d", help=f"Check ids against this dataset ({DATASET_HELP}); a run folder knows its own.")
@data_options
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print problems as JSON.")
def command(
    run: Path,
    dataset: str | None,
    source: Source,
    cache: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Check RUN: a run folder, a joint run (.jsonl) or a TREC run. Exit code 4 where it has errors.

    \b
    convbench validate runs/first
    convbench validate other-tool.trec -d topiocqa --data path/to/topiocqa
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.harness.validate import validate
    from convbench.io.cache import cache_root

    problems = validate(run, source.open(dataset) if dataset else None, cache or cache_root())
    if as_json:
        click.echo(json.dumps([{"severity": problem.severity, "message": problem.message} for problem in problems], ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(f"{problem.severity:<8} {problem.message}")
        click.echo(f"{run}: problems found: {len(problems)}", err=True)
    if any(problem.severity == "error" for problem in problems):
        raise SystemExit(FOUND_ERRORS)
