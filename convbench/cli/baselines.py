"""``convbench baselines``: the systems that ship with convbench."""

from __future__ import annotations

import json

import click


@click.group("baselines")
def command() -> None:
    """The systems that ship with convbench."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(as_json: bool) -> None:
    """Names and one-line descriptions."""
    from convbench.systems.catalog import baseline_names, system_values

    systems = [system_values(name) for name in baseline_names()]
    if as_json:
        click.echo(json.dumps([{"name": s["name"], "kind": s["kind"], "description": s.get("description", "")} for s in systems]))
        return
    width = max(len(s["name"]) for s in systems)
    for values in systems:
        click.echo(f"{values['name']:<{width}}  {values.get('description', '')}")
