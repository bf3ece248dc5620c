"""The files of a comparison: the page, Markdown, the numbers as JSON and CSV, LaTeX tables, pictures."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convbench.comparison.model import Comparison
from convbench.io.atomic import write_text
from convbench.report.comparison.delimited import csv_text
from convbench.report.comparison.latex import latex_text
from convbench.report.comparison.markdown import render_markdown
from convbench.report.comparison.page import write_page
from convbench.report.comparison.sections import tables_of
from convbench.report.figures import Picture, figures_of, save_pictures

log = logging.getLogger(__name__)

_TABLES, _FIGURES = (".tex", ".csv"), (".svg", ".pdf", ".png")


@dataclass(frozen=True, slots=True)
class Written:
    """Where everything is."""

    page: Path
    markdown: Path
    numbers: Path
    tables: Path
    figures: Path | None


def write_comparison(comparison: Comparison, folder: Path, *, figures: bool = True) -> Written:
    """Writes a comparison into a folder; the same runs give the same bytes.

    Args:
        comparison: What to write.
        folder: Created where it is not there; files of an earlier comparison are replaced.
        figures: Whether pictures are written as files for papers too; the page has them in any case.

    Raises:
        StorageError: Something cannot be written.
    """
    earlier = set(_files(folder)) if (folder / "comparison.json").exists() else set()
    written = Written(
        folder / "report.html", folder / "report.md", folder / "comparison.json", folder / "tables", folder / "figures" if figures else None
    )
    write_text(written.numbers, json.dumps(comparison.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    pictures = {compared.task.id: figures_of(compared) for compared in comparison.tasks}
    for table in tables_of(comparison):
        write_text(written.tables / f"{table.id}.tex", latex_text(table))
        write_text(written.tables / f"{table.id}.csv", csv_text(table))
    if written.figures is not None:
        save_pictures([picture for drawn in pictures.values() for picture in drawn], written.figures)
    write_text(written.markdown, render_markdown(comparison, pictures if figures else {}))
    log.info("writing the page")
    write_page(comparison, written.page)
    _remove(earlier, written, [table.id for table in tables_of(comparison)], pictures if figures else {})
    return written


def _files(folder: Path) -> Iterator[Path]:
    """What a comparison puts into its two folders."""
    for name, suffixes in (("tables", _TABLES), ("figures", _FIGURES)):
        yield from (path for path in folder.glob(f"{name}/*") if path.suffix in suffixes)


def _remove(earlier: set[Path], written: Written, tables: Sequence[str], pictures: Mapping[str, Sequence[Picture]]) -> None:
    """Files of an earlier comparison that this one did not write again: they would pass for its own."""
    drawn = {picture.name for some in pictures.values() for picture in some}
    kept = {written.tables / f"{name}{suffix}" for name in tables for suffix in _TABLES}
    if written.figures is not None:
        kept |= {written.figures / f"{name}{suffix}" for name in drawn for suffix in _FIGURES}
        kept |= {written.figures / f"{name}-dark.png" for name in drawn}
    for path in earlier - kept:
        path.unlink(missing_ok=True)
