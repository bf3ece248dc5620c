"""Numbers as papers print them (``leaderboards/<dataset>/published.yaml``): facts with their sources, none of them measured here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from convbench.config import Config, load_config
from convbench.errors import DataError, UsageError
from convbench.registry import did_you_mean
from convbench.systems.catalog import shipped

FILE = "published.yaml"
Task = Literal["retrieval", "response"]


class PublishedSource(Config):
    """Where numbers are printed.

    Attributes:
        arxiv: The paper's id there; None where only other pages report its numbers.
        venue: Where it appeared.
        verify: Whether the id is still to be checked.
    """

    arxiv: str | None = Field(pattern=r"^\d{4}\.\d{4,5}$")
    venue: str | None = None
    verify: bool = False


class PublishedTask(Config):
    """How the numbers of a task were measured.

    Attributes:
        protocol: The named protocol that they are by; None: none that convbench has.
        note: What else is to be known of them.
    """

    protocol: str | None
    note: str


class PublishedRow(Config):
    """The numbers of one system in one source.

    Attributes:
        system: As the source calls it.
        kind: What sort of system it is.
        task: Which of its tasks the numbers are of.
        scores: Measure -> value, in per cent.
        source: Name of the source.
        verify: Whether they are second-hand or sources disagree.
        note: What else is to be known of them.
    """

    system: str
    kind: Literal["rewriter", "dense", "sparse", "unified", "generator", "two-stage", "agent"]
    task: Task
    scores: dict[str, float] = Field(min_length=1)
    source: str
    verify: bool = False
    note: str = ""


class Published(Config):
    """What is in print on one dataset; the rows stand in the order of the file."""

    dataset: str
    unit: Literal["per cent"]
    tasks: Mapping[Task, PublishedTask]
    sources: Mapping[str, PublishedSource]
    rows: tuple[PublishedRow, ...]


def published_datasets() -> list[str]:
    """The datasets on which numbers are kept, sorted."""
    return sorted(path.parent.name for path in shipped("leaderboards").glob(f"*/{FILE}"))


def published(dataset: str) -> Published:
    """What is in print on a dataset.

    Raises:
        UsageError: Nothing is kept on a dataset of that name.
    """
    known = published_datasets()
    if dataset not in known:
        raise UsageError(f"no published numbers on {dataset!r}.{did_you_mean(dataset, known)} Known: {', '.join(known)}")
    return read_published(shipped("leaderboards") / dataset / FILE)


def read_published(path: Path) -> Published:
    """Reads and checks a ``published.yaml``.

    Raises:
        DataError: An unknown key or a wrong value, a source or a task that the file does not describe, a value that is no percentage, or
            another dataset than the folder's.
    """
    found = load_config(Published, path)
    if found.dataset != path.parent.name:
        raise DataError(path, f"dataset: found {found.dataset!r}, expected {path.parent.name!r}, as the folder is called")
    for number, row in enumerate(found.rows):
        place = f"rows.{number}"
        if row.source not in found.sources:
            raise DataError(path, f"source {row.source!r} is not among 'sources'.{did_you_mean(row.source, found.sources)}", where=place)
        if row.task not in found.tasks:
            raise DataError(path, f"task {row.task!r} is not among 'tasks'", where=place)
        for measure, value in row.scores.items():
            if not 0 <= value <= 100:
                raise DataError(path, f"{measure}: found {value}, expected a value in per cent", where=place)
    return found
