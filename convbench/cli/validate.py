"""``convbench validate``: is this file in order?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from convbench.cli.board_options import real_data_option, root_of, root_option
from convbench.cli.data_options import DATASET_HELP, Source, data_options
from convbench.cli.environment_options import environment_options
from convbench.errors import UsageError

if TYPE_CHECKING:
    from convbench.validation.kinds import Kind
    from convbench.validation.validate import Report

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
@real_data_option
@root_option
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print problems as JSON.")
def command(
    file: Path | None,
    kind: Kind | Literal["submission"] | None,
    dataset: str | None,
    source: Source,
    real_data: Path | None,
    root: Path | None,
    cache: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Check FILE: a run, responses, judgements, a dataset or a submission. Exit code 4 where it has errors.

    A run is a run folder, a joint run (.jsonl) or a TREC run; responses are JSON lines of {turn_id, response}; judgements are TREC
    qrels; a submission is a folder with manifest.yaml and run.jsonl.gz. Without FILE, the dataset of -d is checked.

    \b
    convbench validate runs/first
    convbench validate other-tool.trec -d topiocqa --data path/to/topiocqa
    convbench validate path/to/topiocqa -d topiocqa
    convbench validate leaderboards/topiocqa-mini/submissions/mine
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.io.cache import cache_root

    place = cache or cache_root()
    if file is not None and (kind == "submission" or (kind is None and _is_submission(file))):
        report = _submission(file, dataset, source, real_data, root, place)
    else:
        report = _file(file, kind, dataset, source, place)
    if as_json:
        click.echo(json.dumps([problem.to_json() for problem in report.problems], ensure_ascii=False))
    else:
        for problem in report.problems:
            click.echo(problem.to_line())
    click.echo(f"{file or source.data or 'mini'}: {report.verdict()}", err=True)
    if report.count("error"):
        raise SystemExit(FOUND_ERRORS)


def _file(file: Path | None, kind: Kind | Literal["submission"] | None, dataset: str | None, source: Source, cache: Path) -> Report:
    from convbench.validation.target import Datasets
    from convbench.validation.validate import validate, validate_dataset

    if file is not None and kind != "submission":
        return validate(file, kind, Datasets(dataset, lambda name: source.spec(name).request(), cache))
    if dataset is None or kind not in (None, "dataset"):
        raise UsageError("nothing to check: name a file, or a dataset with -d")
    return validate_dataset(source.spec(dataset).request(), cache)


def _submission(folder: Path, dataset: str | None, source: Source, real_data: Path | None, root: Path | None, cache: Path) -> Report:
    from convbench.leaderboard.check_folder import check_folder

    own = {"--dataset": dataset, "--split": source.split, "--corpus": source.corpus, "--rewrites": source.rewrites}
    parts = {"--option": source.options, "--limit": source.limit, "--conversations": source.conversations}
    if given := [option for option, value in {**own, **parts}.items() if value]:
        advice = f"leave {given[0]} out; where it is no submission, say --kind"
        raise UsageError(f"{folder}: a submission is checked against the whole of its track: {advice}")
    return check_folder(folder, root=root_of(root), real_data=real_data, data=source.data, cache=cache)


def _is_submission(path: Path) -> bool:
    """Whether a folder holds a part of a submission that no run folder holds."""
    from convbench.leaderboard.card import FILE
    from convbench.leaderboard.places import RUN

    parts = (FILE, RUN, "manifest.json")
    return path.is_dir() and not (path / "run.json").exists() and any(os.path.lexists(path / name) for name in parts)
