"""``convbench leaderboard import``: submissions from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convbench.cli.board_options import data_options, json_option, root_option, show_packed, writable_root
from convbench.errors import UsageError

if TYPE_CHECKING:
    from convbench.leaderboard.track_data import Files


@click.command("import")
@click.argument("archive", required=False, type=click.Path(path_type=Path), metavar="[ARCHIVE]")
@click.option("--track", "track_name", required=True, metavar="TRACK", help="The track: the name of a folder below the root.")
@click.option("--id", "submission", help="Id of the submission in ARCHIVE.")
@click.option("--manifest", type=click.Path(path_type=Path), help="The system's card, written by hand (YAML).")
@click.option("--trec", type=click.Path(path_type=Path), help="Its rankings: a TREC run, plain or gzipped.")
@click.option("--responses", type=click.Path(path_type=Path), help="Its responses: JSONL of {turn_id, response}, plain or gzipped.")
@data_options
@root_option
@json_option
def command(
    archive: Path | None,
    track_name: str,
    submission: str | None,
    manifest: Path | None,
    trec: Path | None,
    responses: Path | None,
    files: Files,
    cache: Path,
    root: Path | None,
    as_json: bool,
) -> None:
    """Make a submission of what another tool made, or of a packed submission that somebody sent.

    Of another tool: rankings, responses or both, and a card written by hand. ARCHIVE: a .tar.gz, .tar or .zip with manifest.yaml and
    run.jsonl.gz in it; nothing else is read of it.

    \b
    convbench leaderboard import --track topiocqa-mini --manifest manifest.yaml --trec other.run.gz --responses other.jsonl
    convbench leaderboard import received.tar.gz --track topiocqa-mini --id my-system
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.leaderboard.archive import unpack
    from convbench.leaderboard.pack_foreign import pack_foreign
    from convbench.leaderboard.track import read_track
    from convbench.leaderboard.track_data import open_track

    place = writable_root(root)
    track = read_track(place, track_name)
    loose = [path for path in (manifest, trec, responses) if path is not None]
    if archive is not None and submission is not None and not loose:
        made = unpack(archive, track, place, submission=submission, turns=open_track(track, files, cache).turn_ids)
    elif archive is None and submission is None and manifest is not None and len(loose) > 1:
        made = pack_foreign(trec, responses, manifest, track, place, turns=open_track(track, files, cache).turn_ids)
    else:
        raise UsageError("give --manifest with --trec, --responses or both; or name an ARCHIVE, with --id")
    done = {"run": str(archive or trec or responses), "packed": str(made)}
    show_packed(done, as_json=as_json)
    if as_json:
        click.echo(json.dumps([done], ensure_ascii=False))
