"""``convbench export``: runs, judgements and datasets in other tools' formats."""

from __future__ import annotations

from pathlib import Path

import click

from convbench.cli.data_options import DATASET_HELP, Source, data_options
from convbench.cli.import_ import show_summary
from convbench.errors import UsageError


@click.command("export")
@click.argument("format_name", metavar="FORMAT")
@click.argument("run", required=False, type=click.Path(path_type=Path), metavar="[SOURCE]")
@click.option("--dataset", "-d", help=f"Dataset to export ({DATASET_HELP}).")
@data_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File or folder to write; it must not exist.")
@click.option("--turn-ids", metavar="PATTERN", help="How turns are to be named: '<conversation>-<turn>' ... Default: the format's way.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    format_name: str, run: Path | None, dataset: str | None, source: Source, out: Path, turn_ids: str | None, as_json: bool
) -> None:
    """Write a run, judgements or a dataset in FORMAT. What FORMAT cannot hold is named on stderr.

    FORMAT is trec, ranx, scai-qrecc, ikat, mtrag or responses (SOURCE is a run folder, a joint run or a TREC run), qrels (SOURCE is a file
    of judgements, or -d names a dataset), beir or mteb (-d names a dataset).

    \b
    convbench export ranx runs/first --out run.json
    convbench export trec runs/first --turn-ids '<conversation>-<turn>' --out run.trec
    convbench export beir -d topiocqa --data path/to/topiocqa --out topiocqa-beir
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.exchange import FORMATS
    from convbench.exchange.base import ExportRequest

    chosen = FORMATS.get(format_name)
    if dataset is None and source != Source(data=None, split=None, corpus=None, rewrites=None, options={}, limit=None, conversations=None):
        raise UsageError(
            "--data, --split, --corpus, --rewrites, --option, --conversations and --limit say how a dataset is read: name it with -d"
        )
    opened = source.open(dataset) if dataset else None
    show_summary(chosen.export(ExportRequest(run, opened, out, turn_ids)), as_json=as_json)
