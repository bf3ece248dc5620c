"""The page: one HTML file with every table and picture, the browser of turns, and nothing that is loaded from elsewhere."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from convbench.comparison.model import Comparison, TaskComparison
from convbench.io.atomic import write_text
from convbench.report.appendix import appendix_of
from convbench.report.comparison.delimited import csv_text
from convbench.report.comparison.latex import latex_text
from convbench.report.comparison.markdown import markdown_text
from convbench.report.comparison.methods import SIGNATURES, methods_of
from convbench.report.comparison.packed import packed, packed_bytes
from convbench.report.comparison.page_tables import PageTable, page_table
from convbench.report.comparison.page_text import prose
from convbench.report.comparison.statements import summary_of
from convbench.report.comparison.table import Section, Table
from convbench.report.comparison.tables import sections_of
from convbench.report.comparison.turn_data import TaskTurns, packed_turns
from convbench.report.figures.catalogue import figures_of
from convbench.report.figures.svg import inline_svg
from convbench.report.figures.themes import DARK, LIGHT, series_css
from convbench.report.words import counted

if TYPE_CHECKING:
    from convbench.report.figures.picture import Picture

_SCRIPTS = (
    *("elements", "announce", "blocks", "tables", "copy", "words"),
    *("turn-choice", "turn-list", "turn-conversation", "turn-ranking", "turn-responses", "turn-view", "turns", "start"),
)
"""Files that make up the page's script, in order; together they are one module."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture in the page; ``width`` is in the units of its drawing. What it shows in words stands in the drawing."""

    name: str
    title: str
    caption: str
    width: int
    svg: Markup


@dataclass(frozen=True, slots=True)
class PageSection:
    """A section as the template writes it."""

    id: str
    title: str
    statements: tuple[str, ...]
    tables: tuple[PageTable, ...]
    figures: tuple[Figure, ...]
    collapsed: bool


@dataclass(frozen=True, slots=True)
class PageTask:
    """A task as the template writes it."""

    id: str
    title: str
    notes: tuple[str, ...]
    sections: tuple[PageSection, ...]


def write_page(comparison: Comparison, path: Path) -> None:
    """Writes the page to a file, atomically."""
    write_text(path, render_page(comparison))


def render_page(comparison: Comparison) -> str:
    """The page. The same comparison gives the same bytes.

    Args:
        comparison: What to show.

    Returns:
        HTML that needs nothing beside it: it works from a mail, and without a network.
    """
    sections = {compared.task.id: sections_of(compared, comparison.settings) for compared in comparison.tasks}
    turns, lengths = packed_turns(comparison)
    tables = [table for parts in sections.values() for part in parts for table in part.tables]
    theme, script = _script("theme"), "\n".join(map(_script, _SCRIPTS))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("convbench.report.comparison"), PackageLoader("convbench.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["prose"] = prose
    return environment.get_template("page.html.j2").render(
        title=_title(comparison),
        policy=_policy(theme, script),
        theme_script=Markup(theme),  # noqa: S704 - our own files, no data in them
        script=Markup(script),  # noqa: S704
        series_light=series_css(LIGHT),
        series_dark=series_css(DARK),
        summary=summary_of(comparison),
        tasks=[_task(compared, sections[compared.task.id]) for compared in comparison.tasks],
        turns=turns,
        lengths=lengths,
        methods=methods_of(comparison),
        signatures=SIGNATURES,
        appendix=appendix_of([entrant.run.results for compared in comparison.tasks for entrant in compared.task.entrants]),
        itables_version=metadata.version("itables"),
        blocks=list(_blocks(turns, tables)),
    )


def _title(comparison: Comparison) -> str:
    labels = list(dict.fromkeys(entrant.label for compared in comparison.tasks for entrant in compared.task.entrants))
    where = comparison.tasks[0].task.title if len(comparison.tasks) == 1 else counted(len(comparison.tasks), "task")
    return f"{counted(len(labels), 'system')} on {where}"


def _task(compared: TaskComparison, sections: Sequence[Section]) -> PageTask:
    pictures = figures_of(compared)
    return PageTask(
        id=compared.task.id,
        title=compared.task.title,
        notes=compared.notes,
        sections=tuple(_section(section, pictures) for section in sections),
    )


def _section(section: Section, pictures: Sequence[Picture]) -> PageSection:
    return PageSection(
        section.id,
        section.title,
        section.statements,
        tuple(map(page_table, section.tables)),
        tuple(_figure(picture) for kind in section.figures for picture in pictures if kind in (picture.kind, picture.name)),
        section.collapsed,
    )


def _figure(picture: Picture) -> Figure:
    drawn = inline_svg(picture)
    box = re.search(r'viewBox="\S+ \S+ (\d+)', drawn)
    return Figure(picture.name, picture.title, picture.caption, int(box[1]) if box else 500, Markup(drawn))  # noqa: S704 - texts are escaped


def _blocks(turns: Sequence[TaskTurns], tables: Sequence[Table]) -> Iterator[tuple[str, str]]:
    """Id and text of every inert element: the library, tables to copy, and the turns."""
    yield "library", packed_bytes((resources.files("itables") / "html" / "dt_bundle.js").read_bytes())
    copies = {table.id: {"latex": latex_text(table), "markdown": markdown_text(table), "csv": csv_text(table)} for table in tables}
    yield "copies", packed(copies)
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
