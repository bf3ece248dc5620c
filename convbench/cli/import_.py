"""``convbench import``: other tools' runs, judgements and datasets as convbench reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convbench.exchange.base import Summary


@click.command("import")
@click.argument("format_name", metavar="FORMAT")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File or folder to write; it must not exist.")
@click.option("--turn-ids", metavar="PATTERN", help="How SOURCE names turns: '<conversation>-<turn>' ... Default: the format's way.")
@click.option("--split", help="Split of a dataset. Default: test, or the only one.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(format_name: str, source: Path, out: Path, turn_ids: str | None, split: str | None, as_json: bool) -> None:
    """Read SOURCE, a file or folder in FORMAT, and write what convbench reads.

    FORMAT is trec, ranx, scai-qrecc, ikat, mtrag or responses (a joint run is written), qrels (TREC judgements are written), beir or mteb
    (a dataset folder is written, to be read with `-d generic --data OUT`).

    \b
    convbench import scai-qrecc run.json --out imported.jsonl
    convbench import qrels dev_gold.trec --turn-ids '<conversation>-<turn>' --out qrels.txt
    convbench import beir path/to/folder --out data/mine
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.exchange import FORMATS
    from convbench.exchange.base import ImportRequest

    show_summary(FORMATS.get(format_name).import_(ImportRequest(source, out, turn_ids, split)), as_json=as_json)


def show_summary(summary: Summary, *, as_json: bool) -> None:
    """Prints what was written on stdout, and what stayed behind on stderr."""
    for note in summary.notes:
        click.echo(f"left behind: {note}", err=True)
    if as_json:
        click.echo(json.dumps(summary.as_json(), ensure_ascii=False))
        return
    counts = ", ".join(f"{what.replace('_', ' ')} {count:,}" for what, count in summary.counts.items())
    click.echo(f"{summary.out}: {counts}")
