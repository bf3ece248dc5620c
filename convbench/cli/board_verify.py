"""``convbench leaderboard verify``: submissions scored again."""

from __future__ import annotations

import json
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convbench.cli.board_options import DIFFERS, data_options, json_option, root_option, writable_root
from convbench.errors import InvariantError, MissingFileError, RunFileError

if TYPE_CHECKING:
    from convbench.leaderboard.track_data import Files


@click.command("verify")
@click.option("--track", "tracks", multiple=True, metavar="TRACK", help="Only this track; may be given several times. Default: all.")
@click.option("--check", is_flag=True, help="End with exit code 1 where a verified.json was missing or other than it is now.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Processes.")
@data_options
@root_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    tracks: tuple[str, ...],
    check: bool,
    jobs: int,
    files: Files,
    cache: Path,
    root: Path | None,
    as_json: bool,
) -> None:
    """Score submissions again, and write what came of it beside each (verified.json).

    Exit code 7: verifying one broke for no fault of its own, and its verified.json stays as it was. 4: one was refused. 3: the data of a
    track that --track names are not at hand; other tracks are passed over then.

    \b
    convbench leaderboard verify --track topiocqa-mini
    convbench leaderboard verify --real-data path/to/samples
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.cli.verified_table import as_json as plain_outcome
    from convbench.cli.verified_table import broken_line, refusal_lines, track_lines
    from convbench.leaderboard.track import read_track
    from convbench.leaderboard.verify import verify

    place = writable_root(root)
    outcomes = verify(place, tuple(dict.fromkeys(tracks)), files=files, jobs=jobs, cache=cache)
    verified = [outcome for outcome in outcomes if outcome.verified is not None]
    if as_json:
        click.echo(json.dumps([plain_outcome(outcome) for outcome in outcomes], ensure_ascii=False, allow_nan=False))
    else:
        for name, group in groupby(verified, attrgetter("track")):
            click.echo("\n".join(track_lines(read_track(place, name), list(group))))
    refusals = [line for outcome in verified for line in refusal_lines(outcome)]
    changed = [f"{outcome.track}/{outcome.submission}: verified.json was not what it is now" for outcome in verified if outcome.changed]
    for line in [*refusals, *(changed if check else [])]:
        click.echo(line, err=True)
    broken = [outcome for outcome in outcomes if outcome.broken]
    for outcome in broken:
        click.echo(broken_line(outcome), err=True)
    if broken:
        context.exit(InvariantError.exit_code)
    if refusals:
        context.exit(RunFileError.exit_code)
    if tracks and len(verified) < len(outcomes):
        context.exit(MissingFileError.exit_code)
    context.exit(DIFFERS if check and changed else 0)
