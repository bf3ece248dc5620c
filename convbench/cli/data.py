"""``convbench data``: what datasets there are, how to get them, what is wrong with a copy."""

from __future__ import annotations

import json

import click

from convbench.cli.audit import audit_command
from convbench.cli.pool import pool_command
from convbench.cli.prepare import prepare_command


@click.group("data")
def command() -> None:
    """Datasets: list, describe, prepare, pool, audit."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(as_json: bool) -> None:
    """Names, splits and licences."""
    from convbench.datasets import DATASETS
    from convbench.datasets.adapters import load_card

    cards = [load_card(name) for name in DATASETS.names()]
    if as_json:
        click.echo(json.dumps([card.model_dump(mode="json") for card in cards], ensure_ascii=False))
        return
    for card in cards:
        click.echo(f"{card.name:<10} {card.title}: splits {', '.join(card.splits) or 'as in your files'}; {card.licence}")


@command.command("info")
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def info_command(dataset: str, as_json: bool) -> None:
    """Files, sizes, licence, citation and reading options of DATASET, and the pools that the cache has of it."""
    from convbench.cli.pool import pool_summary
    from convbench.datasets.adapters import adapter_class, load_card
    from convbench.datasets.pool import pools_in
    from convbench.harness.pooling import pools_folder
    from convbench.io.cache import cache_root

    card, adapter = load_card(dataset), adapter_class(dataset)
    options = {name: list(values) for name, values in adapter.option_values.items()}
    pools = pools_in(pools_folder(cache_root(), dataset))
    if as_json:
        found = [pool_summary(pool) for pool in pools]
        click.echo(json.dumps({**card.model_dump(mode="json"), "options": options, "pools": found}, ensure_ascii=False))
        return
    click.echo(f"{card.title} ({card.name})\n{card.description.strip()}\n")
    for label in ("homepage", "paper", "licence"):
        click.echo(f"{label:<9} {getattr(card, label)}")
    for name, size in card.splits.items():
        counts = f"{size.conversations or '?'} conversations, {size.turns or '?'} turns"
        click.echo(f"split     {name}: {counts}{'' if size.verified else ' (not verified)'}")
    for file in card.files:
        click.echo(f"file      {file}")
    for name, values in options.items():
        click.echo(f"option    {name}: {' | '.join(values)}")
    for pool in pools:
        click.echo(f"pool      {pool.folder}: {pool.manifest.describe()}")
    click.echo(f"\n{card.citation.strip()}")


command.add_command(prepare_command)
command.add_command(pool_command)
command.add_command(audit_command)
