"""``convbench protocols``: what exactly each named protocol measures."""

from __future__ import annotations

import json

import click


@click.group("protocols")
def command() -> None:
    """Named protocols: turns, depth, thresholds, ties, references, normalisation."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(as_json: bool) -> None:
    """Names and titles."""
    from convbench.metrics.protocol import load_protocol, protocol_names

    protocols = [load_protocol(name) for name in protocol_names()]
    if as_json:
        click.echo(json.dumps([protocol.model_dump(mode="json") for protocol in protocols], ensure_ascii=False))
        return
    width = max(len(protocol.name) for protocol in protocols)
    for protocol in protocols:
        click.echo(f"{protocol.name:<{width}}  {protocol.title}")


@command.command("show")
@click.argument("protocol")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show_command(protocol: str, as_json: bool) -> None:
    """Everything that PROTOCOL, a name or a YAML file, fixes: each measure with its turns and its signature."""
    from convbench.metrics.selection import named_or_read

    loaded = named_or_read(protocol)
    if as_json:
        click.echo(json.dumps(loaded.model_dump(mode="json"), ensure_ascii=False))
        return
    click.echo(f"{loaded.name}: {loaded.title}\n\n{loaded.description.strip()}\n")
    for label, text in (
        ("for", ", ".join(loaded.datasets) or "every dataset"),
        ("missing", {"zero": "a turn that the run lacks scores 0", "skip": "turns that the run lacks are left out"}[loaded.missing]),
        ("ties", f"{loaded.ties}: score descending, then passage id descending"),
        *(("source", source) for source in loaded.sources),
    ):
        click.echo(f"{label:<8} {text}")
    for part in loaded.parts:
        click.echo(f"\n{part.metric}, over the turns: {part.turns}")
        for key, value in part.settings.items():
            click.echo(f"  {key:<13} {', '.join(map(str, value)) if isinstance(value, list) else value}")
