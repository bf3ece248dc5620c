"""``convbench runs sql``: a question over many runs."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from convbench.cli.runs_output import table
from convbench.cli.shown import shown
from convbench.errors import UsageError

if TYPE_CHECKING:
    from convbench.store.query import Answer


@click.command("sql")
@click.argument("statement")
@click.option("--folder", default="runs", show_default=True, help="Folder of runs, or a URL.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True, metavar="ROWS", help="Print at most so many rows.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON: a list of objects.")
@click.option("--csv", "as_csv", is_flag=True, help="Print as CSV.")
def command(statement: str, folder: str, limit: int, as_json: bool, as_csv: bool) -> None:
    """Answer STATEMENT, a SELECT in DuckDB's SQL, over the tables runs, scores (a row a turn and measure) and turns (a row a turn).

    The statement can read these tables and nothing else. The first question turns each run's scores into Parquet, kept in its folder.

    \b
    convbench runs sql "SELECT run, measure, avg(value) FROM scores GROUP BY ALL ORDER BY ALL"
    convbench runs sql "DESCRIBE turns" --folder s3://bucket/runs
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.store.listing import read_rows
    from convbench.store.places import stored_runs
    from convbench.store.query import ask

    if as_json and as_csv:
        raise UsageError("--json and --csv are two ways to print: choose one")
    listing = read_rows(stored_runs(folder))
    for line in listing.broken:
        click.echo(f"warning: {line}", err=True)
    if not listing.rows:
        raise UsageError(f"{folder}: none of the runs here can be read")
    answer = ask(listing.rows, statement, most=limit)
    _show(answer, as_json=as_json, as_csv=as_csv)
    if answer.more:
        click.echo(f"note: only the first {limit} rows are shown; ask for more with --limit", err=True)


def _show(answer: Answer, *, as_json: bool, as_csv: bool) -> None:
    from convbench.report.terminal import printable_json

    if as_json:
        click.echo(printable_json([dict(zip(answer.columns, map(_plain, row), strict=True)) for row in answer.rows]))
    elif as_csv:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([answer.columns, *([_in_a_cell(value) for value in row] for row in answer.rows)])
        click.echo(shown(text.getvalue(), keep="\n") if sys.stdout.isatty() else text.getvalue(), nl=False)
    else:
        for line in table([answer.columns, *([_cell(value) for value in row] for row in answer.rows)]):
            click.echo(line)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(_in_a_cell(value))


def _in_a_cell(value: Any) -> Any:
    """A list or structure as JSON, which other tools read."""
    return json.dumps(_plain(value), ensure_ascii=False) if isinstance(value, dict | list | tuple) else value


def _plain(value: Any) -> Any:
    """A value as JSON has it; numbers that JSON lacks, dates and the like as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | Decimal):  # 0.5 is a decimal in SQL
        return float(value) if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)
