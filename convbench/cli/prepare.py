"""``convbench data prepare``: official files fetched where that is asked for, then read, checked, and made into a passage store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convbench.cli.data_options import Source, data_options
from convbench.cli.environment_options import environment_options
from convbench.cli.shown import shown
from convbench.cli.tiers import TierOptions, files_of_tier, tier_options

if TYPE_CHECKING:
    from convbench.datasets.loading import Dataset


@click.command("prepare")
@click.argument("dataset")
@tier_options
@data_options
@environment_options
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def prepare_command(dataset: str, tier: TierOptions, source: Source, cache: Path | None, offline: bool, as_json: bool) -> None:
    """Read DATASET's files, check them, and build its passage store; with --tier full, fetch the official files first.

    Resumable; a second call finds everything done.

    \b
    convbench data prepare topiocqa --tier full
    convbench data prepare topiocqa --data path/to/topiocqa
    """  # noqa: D301 - click leaves the lines after a backspace as they are
    from convbench.io.cache import cache_root
    from convbench.report.terminal import printable_json

    root = cache or cache_root()
    found = files_of_tier(dataset, source, tier, root, offline=offline)
    summary = dict(found.summary)
    if not tier.fetch_only:
        summary |= _prepared(found.source.open(dataset), root, needs_passages=found.needs_passages)
    if found.run is not None:
        summary["run"] = found.run
    if as_json:
        click.echo(printable_json(summary))
        return
    for key, value in summary.items():
        for each in value if key == "files" else [value]:
            click.echo(f"{key:<18} {shown(_line(each))}")


def _prepared(opened: Dataset, cache: Path, *, needs_passages: bool) -> dict[str, Any]:
    from convbench.datasets.collection import prepare_store
    from convbench.errors import MissingFileError

    notes, store, collection = list(opened.notes), None, None
    try:
        collection = opened.collection()
        store = prepare_store(opened, collection, cache)
    except MissingFileError as error:
        if needs_passages:
            raise
        notes.append(f"no passage store: {error}")
    return {
        "dataset": opened.name,
        "split": opened.split,
        "conversations": len(opened.conversations),
        "turns": len(opened.turns),
        "judged_turns": len(opened.retrieval_turns().ids),
        "turns_with_rewrite": sum(turn.rewrite is not None for turn in opened.turns),
        "collection": collection.origin if collection else None,
        **({"pool_of": opened.pool.manifest.describe()} if opened.pool else {}),
        "passages": len(store) if store else None,
        "sha256": store.sha256 if store else None,
        "notes": notes,
    }


def _line(value: Any) -> str:
    if isinstance(value, dict):  # a file
        return f"{value['path']}: {value['bytes']:,} bytes, {value['how']}, checked against {value['checked']}"
    if isinstance(value, list):  # notes
        return "; ".join(value) or "-"
    return str(value)
