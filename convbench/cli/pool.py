"""``convbench data pool``: the gold passages and the first passages of some systems, as a small collection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convbench.cli.data_options import Source, data_options
from convbench.cli.environment_options import environment_options, map_option
from convbench.cli.run_line import run_line
from convbench.cli.shown import shown

if TYPE_CHECKING:
    from convbench.datasets.pool import Pool


@click.command("pool")
@click.argument("dataset")
@data_options
@click.option(
    "--system",
    "systems",
    multiple=True,
    metavar="SYSTEM",
    help="System that searches the full collection; may be given several times. Default: bm25-history and minilm-history.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Finished run on the full collection, whose rankings are taken; may be given several times, and no --system then.",
)
@click.option("--depth", type=click.IntRange(min=1), default=100, show_default=True, help="Passages of each turn that each of them gives.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder of the pool. Default: its place below pools/ in the cache.")
@map_option
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def pool_command(
    dataset: str,
    source: Source,
    systems: tuple[str, ...],
    runs: tuple[Path, ...],
    depth: int,
    out: Path | None,
    checkpoint_map: Path | None,
    cache: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Make a pool of DATASET's collection: every judged passage of the split, and the first passages of some systems.

    A pool is small, so that systems on it have numbers soon. They are no results on the full collection: results say that they are of a
    pool, and of which. Give its folder as --corpus. Resumable; a second call finds everything done.

    \b
    convbench data pool topiocqa --data data/topiocqa
    convbench data pool qrecc --data data/qrecc --run runs/bm25-full --run runs/minilm-full --out pools/qrecc
    convbench run bm25-query -d qrecc --data data/qrecc --corpus pools/qrecc
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.cli.environment_options import read_map
    from convbench.errors import UsageError
    from convbench.harness.pooling import SYSTEMS, PoolRequest, make_pool
    from convbench.io.cache import cache_root
    from convbench.report.terminal import printable_json

    if systems and runs:
        raise UsageError("--system and --run both say who makes the pool: leave one of them out")
    request = PoolRequest(
        dataset=source.spec(dataset),
        systems=systems or SYSTEMS,
        runs=runs,
        depth=depth,
        folder=out,
        cache=cache or cache_root(),
        offline=offline,
        checkpoint_map=read_map(checkpoint_map),
    )
    summary = pool_summary(make_pool(request))
    summary["run"] = run_line(dataset, replace(source, corpus=Path(summary["pool"]), split=summary["split"]))
    if as_json:
        click.echo(printable_json(summary))
        return
    for key, value in summary.items():
        click.echo(f"{key:<18} {shown(_line(value))}")


def _line(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def pool_summary(pool: Pool) -> dict[str, Any]:
    """What commands tell of a pool."""
    own = pool.manifest
    return {
        "pool": str(pool.folder),
        "dataset": own.dataset,
        "split": own.split,
        "systems": own.names,
        "depth": own.depth,
        "turns": own.turns,
        "gold_passages": own.gold.passages,
        "gold_missing": own.gold.missing,
        "passages": own.passages,
        "full_passages": own.full.passages,
        "full_sha256": own.full.sha256,
        "sha256": own.sha256,
    }
