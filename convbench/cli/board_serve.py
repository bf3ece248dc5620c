"""``convbench leaderboard serve``: the site, on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from convbench.cli.board_options import root_of, root_option


@click.command("serve")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0: any that is free.")
@root_option
def command(port: int, root: Path | None) -> None:
    """Show the site in a browser on this machine, until Ctrl-C. Nobody else can reach it."""
    from convbench.leaderboard.serve import serve

    serve(root_of(root), port, lambda address: click.echo(f"serving {address} (Ctrl-C ends it)"))
