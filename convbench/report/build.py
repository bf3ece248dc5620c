"""Writing a report: the views of the results go through one template for HTML and one for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from convbench.errors import UsageError
from convbench.harness.results import Results
from convbench.io.atomic import write_text
from convbench.report.appendix import appendix_of
from convbench.report.environment import html_environment, markdown_environment
from convbench.report.markdown import code, costs_table, scores_table, systems_table
from convbench.report.tables import NOT_COMPUTED, dataset_tables
from convbench.report.words import ABSENT, counted


def write_report(runs: Sequence[Results], markdown: Path, html: Path) -> None:
    """Writes both forms of the report over ``runs``; the same runs give the same bytes.

    Args:
        runs: What was run, in the order that rows and tables follow.
        markdown: The Markdown file.
        html: The HTML file, which needs nothing beside it.

    Raises:
        UsageError: There is no run.
    """
    write_text(markdown, render_markdown(runs))
    write_text(html, render_html(runs))


def render_markdown(runs: Sequence[Results]) -> str:
    """The report as Markdown: readable as it is, and rendered by GitHub."""
    return _markdown().get_template("report.md.j2").render(_view(runs))


def render_html(runs: Sequence[Results]) -> str:
    """The report as one HTML page, without scripts or anything to load."""
    return _html().get_template("report.html.j2").render(_view(runs))


@cache
def _markdown() -> Environment:
    """Its templates are compiled once for all reports of a process; those of ``_html`` likewise."""
    environment = markdown_environment("convbench.report")
    environment.filters["code"] = code
    environment.globals.update(systems_table=systems_table, scores_table=scores_table, costs_table=costs_table)
    return environment


@cache
def _html() -> Environment:
    return html_environment("convbench.report")


def _view(runs: Sequence[Results]) -> dict[str, Any]:
    if not runs:
        raise UsageError("a report needs at least one run")
    tables = dataset_tables(runs)
    rows = [row for table in tables for row in table.rows]
    return {
        "title": _title(runs),
        "tables": tables,
        "appendix": appendix_of(runs),
        "any_best": any(cell.best for row in rows for cells in row.cells for cell in cells),
        "any_reference": any(row.is_reference for row in rows),
        "absent": ABSENT,
        "not_computed": NOT_COMPUTED,
    }


def _title(runs: Sequence[Results]) -> str:
    systems = list(dict.fromkeys(str(run.system["name"]) for run in runs))
    datasets = list(dict.fromkeys(run.dataset.name for run in runs))
    who = systems[0] if len(systems) == 1 else counted(len(systems), "system")
    where = datasets[0] if len(datasets) == 1 else counted(len(datasets), "dataset")
    return f"{who} on {where}"
