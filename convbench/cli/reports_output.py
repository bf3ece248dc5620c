"""Where the reports are, or the results themselves, on stdout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convbench.harness.results import Results


def show_reports(report: Path | None, runs: Sequence[tuple[Path, Results]], *, as_json: bool) -> None:
    """Prints the results as JSON on stdout, or where the report is."""
    if as_json:
        click.echo(json.dumps([results.model_dump(mode="json") for _, results in runs], ensure_ascii=False))
    if report is not None:
        click.echo(f"report: {report}", err=as_json)
