"""``convbench validate``: is this file in order?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convbench.cli.options import DATASET_HELP, Source, data_options, environment_options
from convbench.errors import UsageError

if TYPE_CHECKING:
    from convbench.validation.kinds import Kind

FOUND_ERRORS = 4


@click.command("validate")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["run", "responses", "qrels", "dataset", "submission"]),
    help="What FILE is. Default: told from its content, then its name.",
)
@click.option("--dataset", "-d", help=f"Check ids against this dataset ({DATASET_HELP}); run folders and submissions know their own.")
@data_options
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print problems as JSON.")
def command(
    file: Path | None,
    kind: Kind | None,
    dataset: str | None,
    source: Source,
    cache: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Check FILE: a run, responses, judgements, a dataset or a submission. Exit code 4 where it has errors.

    A run is a run folder, a joint run (.jsonl) or a TREC run; responses are JSON lines of {turn_id, response}; judgements are TREC
    qrels; a submission is a folder with a manifest. Without FILE, the dataset of -d is checked.

    \b
    convbench validate runs/first
    convbench validate other-tool.trec -d topiocqa --data path/to/topiocqa
    convbench validate path/to/topiocqa -d topiocqa
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.io.cache import cache_root
    from convbench.validation.target import Datasets
    from convbench.validation.validate import validate, validate_dataset

    place = cache or cache_root()
    if file is not None:
        report = validate(file, kind, Datasets(dataset, lambda name: source.spec(name).request(), place))
    elif dataset is None or kind not in (None, "dataset"):
        raise UsageError("nothing to check: name a file, or a dataset with -d")
    else:
        report = validate_dataset(source.spec(dataset).request(), place)
    if as_json:
        click.echo(json.dumps([problem.to_json() for problem in report.problems], ensure_ascii=False))
    else:
        for problem in report.problems:
            click.echo(problem.to_line())
    click.echo(f"{file or source.data or 'mini'}: {report.verdict()}", err=True)
    if report.count("error"):
        raise SystemExit(FOUND_ERRORS)
