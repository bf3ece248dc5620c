"""``convbench runs gc``: what can go from a folder of runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convbench.cli.runs_output import size_of
from convbench.errors import UsageError

if TYPE_CHECKING:
    from convbench.store.garbage import Garbage, Kept

DAYS = 7.0


@click.command("gc")
@click.argument("folder", default="runs")
@click.option(
    "--older-than", "days", type=click.FloatRange(min=0), metavar="DAYS", help=f"Only what was last written longer ago. Default: {DAYS:g}."
)
@click.option("--finished", is_flag=True, help="Finished runs too; needs --older-than.")
@click.option("--delete", is_flag=True, help="Remove it. Default: only say what could go.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(folder: str, days: float | None, finished: bool, delete: bool, as_json: bool) -> None:
    """Say what can go from FOLDER (default: runs): failed and unfinished runs, rows of stages that were given up, half-written files.

    A run that a process works in stays, and so do one that has scores and a file that convbench did not write. Links are not followed.

    \b
    convbench runs gc runs
    convbench runs gc runs --older-than 30 --delete
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.errors import StorageError
    from convbench.progress import progress_bar
    from convbench.report.terminal import printable_json
    from convbench.store.garbage import Kept, plan_removal, remove
    from convbench.store.places import refuse_empty
    from convbench.store.remote import is_url

    refuse_empty(folder)
    if is_url(folder):
        raise UsageError(f"{folder}: nothing is removed behind a URL, where the lock of a running process cannot be seen; use a path")
    if finished and days is None:
        raise UsageError("--finished removes results for good: say with --older-than DAYS how old they must be")
    if days is not None and not math.isfinite(days):
        raise UsageError(f"--older-than {days}: expected a number of days")
    plan = plan_removal(Path(folder), days=DAYS if days is None else days, finished=finished)
    kept, gone, failed = list(plan.kept), [], None
    with progress_bar("removing", len(plan.garbage) if delete else 0, unit="place") as advance:
        for found in plan.garbage:
            try:
                stayed = remove(found) if delete else None
            except StorageError as error:  # the others can go all the same
                failed, stayed = failed or error, Kept(found.place, str(error))
            if stayed is not None:
                kept.append(stayed)
            if stayed is None or stayed.partly:
                gone.append(found)
            advance(1)
    if as_json:
        click.echo(printable_json({"deleted": delete, "garbage": list(map(_json, gone)), "kept": list(map(_kept_json, kept))}))
    else:
        _show(gone, kept, delete)
    if failed is not None:
        raise failed


def _show(gone: list[Garbage], kept: list[Kept], delete: bool) -> None:
    from convbench.report.terminal import printable

    for found in gone:
        what = f"{len(found.files)} files, {size_of(found.bytes)}, {found.days:.1f} days old"
        click.echo(printable(f"{'removed' if delete else 'can go'}: {found.place}: {found.reason} ({what})"))
    for each in kept:
        click.echo(printable(f"stays: {each.place}: {each.reason}"), err=True)
    total = size_of(sum(found.bytes for found in gone))
    click.echo(f"{total} {'removed' if delete else 'can go; add --delete to remove it'}" if gone else "nothing can go")


def _json(found: Garbage) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "place": str(found.place),
        "reason": found.reason,
        "bytes": found.bytes,
        "days": found.days,
        "files": list(map(str, found.files)),
    }


def _kept_json(kept: Kept) -> dict[str, str]:
    return {"place": str(kept.place), "reason": kept.reason}
