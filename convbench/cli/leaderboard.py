"""``convbench leaderboard``: packing submissions, scoring them again, building the standings, and showing them."""

from __future__ import annotations

import click

from convbench.cli.lazy import LazyGroup

_COMMANDS = {
    "submit": "convbench.cli.board_submit",
    "import": "convbench.cli.board_import",
    "verify": "convbench.cli.board_verify",
    "build": "convbench.cli.board_build",
    "serve": "convbench.cli.board_serve",
}


@click.group("leaderboard", cls=LazyGroup, modules=_COMMANDS)
def command() -> None:
    """Submissions, the scores they get here, and the standings."""
