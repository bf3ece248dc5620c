"""The parts of the page as its template writes them: tasks, their sections, their pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from convbench.comparison.model import TaskComparison
from convbench.report.comparison.page_tables import PageTable, page_table
from convbench.report.comparison.table import Section
from convbench.report.figures.catalogue import figures_of
from convbench.report.figures.svg import inline_svg

if TYPE_CHECKING:
    from convbench.report.figures.picture import Picture


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


def page_task(compared: TaskComparison, sections: Sequence[Section]) -> PageTask:
    """One task with its sections; this draws its pictures."""
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
        tuple(_figure(picture) for kind in section.figures for picture in pictures if picture.kind == kind),
        section.collapsed,
    )


def _figure(picture: Picture) -> Figure:
    drawn = inline_svg(picture)
    box = re.search(r'viewBox="\S+ \S+ (\d+)', drawn)
    return Figure(picture.name, picture.title, picture.caption, int(box[1]) if box else 500, Markup(drawn))  # noqa: S704 - texts are escaped
