"""The page: one HTML file with every table and picture, the browser of turns, and nothing that is loaded from elsewhere."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from importlib import metadata, resources
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from convbench.comparison.model import Comparison
from convbench.io.atomic import write_text
from convbench.report.appendix import appendix_of
from convbench.report.comparison.delimited import csv_text
from convbench.report.comparison.latex import latex_text
from convbench.report.comparison.markdown import markdown_text
from convbench.report.comparison.methods import SIGNATURES, methods_of
from convbench.report.comparison.packed import packed, packed_bytes
from convbench.report.comparison.page_parts import page_task
from convbench.report.comparison.page_text import prose
from convbench.report.comparison.sections import sections_of
from convbench.report.comparison.statements import summary_of, title_of
from convbench.report.comparison.table import Table
from convbench.report.comparison.turn_data import LENGTHS, TaskTurns, packed_turns
from convbench.report.environment import html_environment
from convbench.report.figures.themes import DARK, LIGHT, series_css

LARGEST = 15_000_000
"""Bytes that a page may have: enough to send it and to open it at once."""

_SCRIPTS = (
    *("elements", "announce", "blocks", "tables", "print", "copy", "words"),
    *("turn-choice", "turn-list", "turn-conversation", "turn-ranking", "turn-responses", "turn-view", "turns", "start"),
)
"""Files that make up the page's script, in order; together they are one module."""


def write_page(comparison: Comparison, path: Path) -> None:
    """Writes the page to a file, atomically."""
    write_text(path, render_page(comparison))


def render_page(comparison: Comparison, largest: int = LARGEST) -> str:
    """The page. The same comparison gives the same bytes.

    Args:
        comparison: What to show.
        largest: Bytes that the page may have; texts of turns are cut to keep to it, tables and pictures are not.

    Returns:
        HTML that needs nothing beside it: it works from a mail, and without a network.
    """
    sections = {compared.task.id: sections_of(compared, comparison.settings) for compared in comparison.tasks}
    tables = [table for parts in sections.values() for part in parts for table in part.tables]
    theme, script = _script("theme"), "\n".join(map(_script, _SCRIPTS))
    template = _environment().get_template("page.html.j2")
    known = {
        "title": title_of(comparison),
        "policy": _policy(theme, script),
        "theme_script": Markup(theme),  # noqa: S704 - our own files, no data in them
        "script": Markup(script),  # noqa: S704
        "series_light": series_css(LIGHT),
        "series_dark": series_css(DARK),
        "summary": summary_of(comparison),
        "tasks": [page_task(compared, sections[compared.task.id]) for compared in comparison.tasks],
        "methods": methods_of(comparison),
        "signatures": SIGNATURES,
        "appendix": appendix_of([entrant.run.results for compared in comparison.tasks for entrant in compared.task.entrants]),
        "itables_version": metadata.version("itables"),
    }
    others = list(_table_blocks(tables))
    without_turns = template.render(**known, turns=(), lengths=LENGTHS[0], blocks=others)
    turns, lengths = packed_turns(comparison, largest - len(without_turns.encode()))
    return template.render(**known, turns=turns, lengths=lengths, blocks=[*others, *_turn_blocks(turns)])


def _environment() -> Environment:
    environment = html_environment("convbench.report.comparison", "convbench.report")
    environment.filters["prose"] = prose
    return environment


def _table_blocks(tables: Sequence[Table]) -> Iterator[tuple[str, str]]:
    """Id and text of inert elements: the library that sorts tables, and tables to copy."""
    yield "library", packed_bytes((resources.files("itables") / "html" / "dt_bundle.js").read_bytes())
    copies = {table.id: {"latex": latex_text(table), "markdown": markdown_text(table), "csv": csv_text(table)} for table in tables}
    yield "copies", packed(copies)


def _turn_blocks(turns: Sequence[TaskTurns]) -> Iterator[tuple[str, str]]:
    """Id and text of inert elements: the turns, task by task."""
    for task in turns:
        yield f"turns-{task.id}-index", task.index
        yield f"turns-{task.id}-responses", task.responses
        for number, page in enumerate(task.pages):
            yield f"turns-{task.id}-page-{number}", page


def _script(name: str) -> str:
    return (resources.files("convbench.report.comparison") / "templates" / f"{name}.js").read_text(encoding="utf-8")


def _policy(*scripts: str) -> str:
    """What the browser may do: run these very scripts and the library, apply styles, and load nothing."""
    hashes = " ".join(f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return f"default-src 'none'; script-src {hashes} blob:; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
