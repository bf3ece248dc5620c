"""``convbench runs``: the runs of a folder or a URL."""

from __future__ import annotations

import click

from convbench.cli.lazy import LazyGroup

_COMMANDS = {
    "list": "convbench.cli.runs_list",
    "show": "convbench.cli.runs_show",
    "gc": "convbench.cli.runs_gc",
    "export": "convbench.cli.runs_export",
    "sql": "convbench.cli.runs_sql",
}


@click.group("runs", cls=LazyGroup, modules=_COMMANDS)
def command() -> None:
    """Many runs: list and show them, clear what is left over, hand them on, ask them in SQL."""
