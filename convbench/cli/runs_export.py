"""``convbench runs export``: a bundle of runs for somebody else."""

from __future__ import annotations

import click

from convbench.cli.runs_output import size_of


@click.command("export")
@click.argument("runs", nargs=-1, required=True)
@click.option("--out", "-o", required=True, metavar="FILE.tar.gz|DIR|URL", help="What to write; nothing may be there yet.")
@click.option("--without-texts", is_flag=True, help="Leave queries, responses and reports out.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(runs: tuple[str, ...], out: str, without_texts: bool, as_json: bool) -> None:
    """Write finished RUNS (run folders, folders of them, or URLs) as a bundle that `convbench compare` reads once it is unpacked.

    The same runs give the same bytes. Rows and costs of stages stay behind. Paths that run.json holds go along, and are named.

    \b
    convbench runs export runs/first -o first.tar.gz
    convbench runs export runs/a runs/b --without-texts -o s3://bucket/shared/a-and-b
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.report.terminal import printable, printable_json
    from convbench.store.bundle import export_runs
    from convbench.store.places import distinct, stored_runs

    found = distinct(run for place in runs for run in stored_runs(place))
    bundled = export_runs(found, out, texts=not without_texts)
    if as_json:
        click.echo(printable_json({"out": out, "runs": len(found), "files": dict(bundled.files), "paths": dict(bundled.paths)}))
        return
    click.echo(printable(f"{out}: {len(found)} runs, {len(bundled.files)} files, {size_of(sum(bundled.files.values()))} unpacked"))
    for name, paths in bundled.paths.items():
        click.echo(printable(f"note: run.json of {name} holds paths of this machine: {', '.join(paths)}"), err=True)
