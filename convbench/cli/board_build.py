"""``convbench leaderboard build``: the standings."""

from __future__ import annotations

from pathlib import Path

import click

from convbench.cli.board_options import DIFFERS, root_of, root_option, writable_root


@click.command("build")
@click.option("--check", is_flag=True, help="Write nothing; end with exit code 1 where something would change.")
@root_option
@click.pass_context
def command(context: click.Context, check: bool, root: Path | None) -> None:
    """Write README.md, index.json, the standings as CSV, and the site, from tracks, submissions and reported numbers."""
    if check:
        from convbench.leaderboard.differences import differences

        found = differences(root_of(root))
        for each in found:
            click.echo(each)
        said = f"{len(found)} files differ: run `convbench leaderboard build`" if found else "everything is as it would be built"
        click.echo(said, err=True)
        context.exit(DIFFERS if found else 0)
    from convbench.leaderboard.build import build
    from convbench.leaderboard.names import printable

    built = build(writable_root(root))
    for track, submission, status in built.unscored:
        click.echo(f"{track}/{printable(submission)}: not in the standings: {status}", err=True)
    click.echo(f"{built.tracks} tracks, {built.scored} submissions")
    click.echo(f"site: {built.site / 'index.html'}")
