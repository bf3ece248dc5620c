"""What every format offers: bring a file in, send a file out, and a summary that says what stayed behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from convbench.errors import UsageError
from convbench.exchange.notes import Note
from convbench.io.atomic import atomic_folder

if TYPE_CHECKING:
    from convbench.datasets.loading import Dataset


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to bring in.

    Attributes:
        source: The foreign file or folder.
        out: The file or folder to write; it must not exist.
        turn_ids: How the source names turns, or None for the format's own way.
        split: Which split of a dataset, or None for the one the format would take.
    """

    source: Path
    out: Path
    turn_ids: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to send out.

    Attributes:
        source: A run folder, joint run or TREC run; or a file of judgements. None where a dataset is sent.
        dataset: The dataset to send, opened.
        out: The file or folder to write; it must not exist.
        turn_ids: How the target is to name turns, or None for the format's own way.
    """

    source: Path | None
    dataset: Dataset | None
    out: Path
    turn_ids: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What was done.

    Attributes:
        format: The format.
        out: What was written.
        counts: How many of what were written.
        notes: What stayed behind.
    """

    format: str
    out: Path
    counts: dict[str, int]
    notes: list[Note] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        lost = [{"what": note.what, "count": note.count, "first": note.first, "why": note.why} for note in self.notes]
        return {"format": self.format, "out": str(self.out), "counts": self.counts, "lost": lost}


class Format(Protocol):
    """A file format of other tools."""

    @property
    def name(self) -> str:
        """Its name on the command line."""

    @property
    def description(self) -> str:
        """What it is, in a line."""

    def import_(self, request: ImportRequest) -> Summary:
        """Reads the format and writes convbench's own."""

    def export(self, request: ExportRequest) -> Summary:
        """Reads convbench's own and writes the format."""


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a folder that appears under ``path``, which is not there or is an empty folder, when the block ends well."""
    with atomic_folder(path) as folder:
        yield folder
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def refuse_split(request: ImportRequest, name: str) -> None:
    """Raises where a split is asked for in a format that has none.

    Raises:
        UsageError: It is.
    """
    if request.split is not None:
        raise UsageError(f"{name} has no splits: leave --split {request.split} out")


def refuse_existing(path: Path) -> None:
    """Raises where something would be overwritten; an empty folder may be there.

    Raises:
        UsageError: The target exists, or its name promises compression that is not done.
    """
    if path.name.endswith(".gz"):
        raise UsageError(f"{path}: files are written uncompressed; leave .gz off --out")
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        return
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path}: exists already; choose another --out, or remove it if it is not needed")
