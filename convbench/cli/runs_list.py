"""``convbench runs list``: one row a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from convbench.cli.runs_output import size_of, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convbench.store.row import RunRow


@click.command("list")
@click.argument("folder", default="runs")
@click.option("--dataset", "-d", "datasets", multiple=True, metavar="NAME", help="Only runs on this dataset.")
@click.option("--system", "systems", multiple=True, metavar="NAME", help="Only runs of this system.")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(["finished", "failed", "running", "stale"]), help="Only runs that stand so."
)
@click.option("--measure", "measures", multiple=True, metavar="NAME", help="Show this measure. Default: one of rankings, one of responses.")
@click.option(
    "--sort",
    "order",
    default="name",
    show_default=True,
    metavar="BY",
    help="name, system, dataset, status, date, size, turns, or a measure.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with every measure.")
def command(
    folder: str,
    datasets: tuple[str, ...],
    systems: tuple[str, ...],
    statuses: tuple[str, ...],
    measures: tuple[str, ...],
    order: str,
    as_json: bool,
) -> None:
    """List the runs below FOLDER, a path or a URL (s3://bucket/runs). Default: runs.

    Run folders that cannot be read are named on stderr, and do not stop the rest. A run is stale where its run.json says that it is
    running, but no process is at work.

    \b
    convbench runs list runs --status failed
    convbench runs list s3://bucket/runs -d topiocqa --sort nDCG@3
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.report.terminal import printable_json
    from convbench.store.listing import chosen, in_order, read_rows, refuse_unknown, usual_columns
    from convbench.store.places import stored_runs

    listing = read_rows(stored_runs(folder))
    for line in listing.broken:
        click.echo(f"warning: {line}", err=True)
    rows = in_order(chosen(listing.rows, datasets=datasets, systems=systems, statuses=statuses), order)
    for name in measures:
        refuse_unknown(rows, name)
    if as_json:
        click.echo(printable_json([row.as_json() for row in rows]))
        return
    columns = list(measures) or usual_columns(rows)
    head = ("name", "dataset", "split", "tier", "status", *columns, "turns", "date", "size")
    for line in table([head, *(_cells(row, columns) for row in rows)], right=range(5, 6 + len(columns))):
        click.echo(line)
    if not rows:
        click.echo("no run is as asked for" if listing.rows else "none of the runs here can be read", file=sys.stderr)


def _cells(row: RunRow, columns: Sequence[str]) -> tuple[str, ...]:
    values = [row.measure(column) for column in columns]
    shown = ["-" if not found or found.value is None else _number(found.value, found.scale) for found in values]
    return (
        row.run.name,
        row.dataset,
        row.split or "-",
        row.tier or "-",
        row.status,
        *shown,
        "-" if row.turns is None else f"{row.turns:,}",
        row.date.strftime("%Y-%m-%d %H:%M") if row.date else "-",
        size_of(row.run.bytes),
    )


def _number(value: float, scale: str) -> str:
    return f"{100 * value:.1f}" if scale == "unit" else f"{value:.3g}"
