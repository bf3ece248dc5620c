"""``convbench diff``: two runs side by side, as far as they may be compared."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("diff")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(first: Path, second: Path, as_json: bool) -> None:
    """Show the measures of two run folders and their differences, SECOND minus FIRST.

    Numbers whose signatures differ are not compared: the parts that differ are named, and the exit code is 2.

    \b
    convbench diff runs/bm25-query runs/bm25-history
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.errors import UsageError
    from convbench.harness.side_by_side import side_by_side

    pairs = side_by_side(first, second)
    refused = [pair for pair in pairs if pair.differing]
    if as_json:
        rows = [
            {
                "protocol": pair.protocol,
                "name": pair.name,
                "first": pair.first,
                "second": pair.second,
                "difference": pair.difference,
                "differing": {part.part: [part.first, part.second] for part in pair.differing},
            }
            for pair in pairs
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for pair in pairs:
            values = [f"{'-' if value is None else f'{100 * value:.1f}':>6}" for value in (pair.first, pair.second)]
            change = f"{100 * pair.difference:+7.1f}" if pair.difference is not None else f"{'':>7}"
            click.echo(f"{pair.protocol:<22} {pair.name:<26} {' '.join(values)} {change}{'  not compared' if pair.differing else ''}")
    if refused:
        reasons = dict.fromkeys("; ".join(map(str, pair.differing)) for pair in refused)
        raise UsageError(f"{len(refused)} of {len(pairs)} measures do not compare: {' | '.join(reasons)}; score both runs the same way")
    if not pairs:
        raise UsageError(f"{first} and {second} have no measure in common: score them under the same protocol first")
