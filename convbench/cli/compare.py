"""``convbench compare``: finished runs against each other, as a report."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--baseline", metavar="NAME", help="Test every system against this one. Default: each against each.")
@click.option(
    "--measure",
    "measures",
    multiple=True,
    metavar="NAME",
    help="Declared measure (nDCG@3, protocol/nDCG@3); may be given several times, then only these are compared.",
)
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder of the report. Default: comparison, beside the first run.")
@click.option("--allow-different-collections", is_flag=True, help="Show runs on other passages in tables apart, instead of refusing.")
@click.option("--resamples", type=click.IntRange(min=100), default=10_000, show_default=True, help="Bootstrap samples and sign flips.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the resampling.")
@click.option(
    "--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True, help="Level of significance."
)
@click.option(
    "--floor", type=click.IntRange(min=1), default=30, show_default=True, help="Slices with fewer turns are greyed and not tested."
)
@click.option("--hit-depth", type=click.IntRange(min=1), default=3, show_default=True, help="k of 'gold among the first k'.")
@click.option("--good", type=float, default=0.5, show_default=True, help="A response is good from this value of the response measure on.")
@click.option("--no-figures", is_flag=True, help="Do not write pictures for papers (PDF, PNG, SVG); the page has them in any case.")
@click.option("--json", "as_json", is_flag=True, help="Print every number as JSON on stdout.")
def command(
    runs: tuple[Path, ...],
    baseline: str | None,
    measures: tuple[str, ...],
    out: Path | None,
    allow_different_collections: bool,
    resamples: int,
    seed: int,
    alpha: float,
    floor: int,
    hit_depth: int,
    good: float,
    no_figures: bool,
    as_json: bool,
) -> None:
    """Compare finished runs: which is better, where, by how much, how sure, and whether better retrieval becomes better responses.

    RUN is a run folder, or a folder with run folders below it (what `convbench run` makes of several systems or datasets). Runs on one
    dataset must share turns, collection and signatures; what differs is named.

    The folder gets report.html (one file, works offline), report.md, comparison.json, tables/ (LaTeX, CSV) and figures/.

    \b
    convbench compare runs/bm25-query runs/bm25-rewrite --baseline bm25-query -o runs/rewrite-helps
    convbench compare runs/demo --measure nDCG@3 --measure F1-max
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.analysis.resampling import Resampling
    from convbench.comparison.build import compare
    from convbench.comparison.model import Settings
    from convbench.errors import UsageError
    from convbench.harness.finished import run_folders
    from convbench.report.comparison.write import write_comparison

    folder = out or run_folders(runs[0])[0].parent / "comparison"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; expected a folder for the report")
    settings = Settings(Resampling(resamples, seed), alpha, floor, hit_depth=hit_depth, good=good)
    comparison = compare(
        runs,
        baseline=baseline,
        measures=measures or None,
        allow_different_collections=allow_different_collections,
        settings=settings,
    )
    written = write_comparison(comparison, folder, figures=not no_figures)
    if as_json:
        click.echo(json.dumps(comparison.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        from convbench.report.comparison.statements import summary_of

        for statement in summary_of(comparison):
            click.echo(statement)
    click.echo(f"report: {written.page}", err=as_json)
