"""``convbench leaderboard submit``: finished runs as submissions."""

from __future__ import annotations

import json
from pathlib import Path

import click

from convbench.cli.board_options import json_option, root_option, show_packed, writable_root
from convbench.cli.card_answers import FORM, NOTHING, answers_of
from convbench.errors import ConvbenchError, UsageError


@click.command("submit")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--track", "track_name", required=True, metavar="TRACK", help="The track: the name of a folder below the root.")
@click.option("--id", "submission", help="Id of the submission; only for one run. Default: made from the system's name.")
@click.option("--answers", type=click.Path(path_type=Path), help="YAML file of answers to what a run does not say.")
@click.option("--author", "authors", help="Who made the system.")
@click.option("--link", "links", multiple=True, metavar="NAME=URL", help="Paper, code, weights (https); may be given several times.")
@click.option(
    "--trained-on",
    multiple=True,
    metavar=FORM,
    help=f"Training data, OVERLAP being none, some or unknown; may be given several times. '{NOTHING}': there is none.",
)
@click.option("--rankings-only", is_flag=True, help="Leave the responses out: where texts of the dataset may not be passed on.")
@root_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    runs: tuple[Path, ...],
    track_name: str,
    submission: str | None,
    answers: Path | None,
    authors: str | None,
    links: tuple[str, ...],
    trained_on: tuple[str, ...],
    rankings_only: bool,
    root: Path | None,
    as_json: bool,
) -> None:
    """Pack finished runs as submissions to a track. RUN is a run folder, or a folder with run folders below it.

    A run that cannot be packed is refused with one line that says what to do; the others are packed all the same.

    \b
    convbench leaderboard submit runs/first --track topiocqa-mini --trained-on nothing
    convbench leaderboard submit runs/mine --track topiocqa-mini --trained-on qrecc:train=none --link paper=https://example.org/paper
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.harness.finished import run_folders
    from convbench.leaderboard.pack import pack
    from convbench.leaderboard.track import read_track

    place = writable_root(root)
    track = read_track(place, track_name)
    folders = [folder for run in runs for folder in run_folders(run)]
    if submission is not None and len(folders) > 1:
        raise UsageError(f"--id {submission}: an id is for one run, found {len(folders)}: leave it out, or name one run")
    told = answers_of(answers, submission=submission, authors=authors, links=links, trained_on=trained_on)
    done: list[dict[str, str]] = []
    codes = [0]
    for folder in folders:
        try:
            done.append({"run": str(folder), "packed": str(pack(folder, track, place, told, rankings_only=rankings_only))})
        except ConvbenchError as error:
            codes.append(error.exit_code)
            done.append({"run": str(folder), "refused": str(error)})
        show_packed(done[-1], as_json=as_json)
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=False))
    context.exit(next((code for code in codes if code), 0))
