"""The files of a comparison: the page, Markdown, the numbers as JSON and CSV, LaTeX tables, pictures."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from convbench.comparison.model import Comparison
from convbench.io.atomic import write_text
from convbench.report.comparison.delimited import csv_text
from convbench.report.comparison.latex import latex_text
from convbench.report.comparison.markdown import render_markdown
from convbench.report.comparison.page import write_page
from convbench.report.comparison.sections import tables_of
from convbench.report.figures import figures_of, save_pictures

log = logging.getLogger(__name__)


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
    return written
