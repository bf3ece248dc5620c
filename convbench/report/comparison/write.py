"""The files of a comparison: the page, Markdown, the numbers as JSON and CSV, LaTeX tables, pictures."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from convbench.comparison.as_json import SCHEMA
from convbench.comparison.model import Comparison
from convbench.io.atomic import write_text
from convbench.io.jsonl import read_json
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
    earlier = _earlier(folder)
    written = Written(
        folder / "report.html", folder / "report.md", folder / "comparison.json", folder / "tables", folder / "figures" if figures else None
    )
    write_text(written.numbers, json.dumps(comparison.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    pictures = {compared.task.id: figures_of(compared) for compared in comparison.tasks}
    kept: set[Path] = set()
    for table in tables_of(comparison):
        for suffix, text in ((".tex", latex_text(table)), (".csv", csv_text(table))):
            write_text(written.tables / f"{table.id}{suffix}", text)
            kept.add(written.tables / f"{table.id}{suffix}")
    if written.figures is not None:
        kept.update(save_pictures([picture for drawn in pictures.values() for picture in drawn], written.figures))
    write_text(written.markdown, render_markdown(comparison, pictures if figures else {}))
    log.info("writing the page")
    write_page(comparison, written.page)
    for path in earlier - kept:  # they would pass for this comparison's
        path.unlink(missing_ok=True)
    return written


def _earlier(folder: Path) -> set[Path]:
    """Tables and pictures of the comparison that the folder holds, known by the names of its tasks; nothing else that lies there."""
    numbers = folder / "comparison.json"
    held = read_json(numbers) if numbers.exists() else None
    tasks = held.get("tasks") if isinstance(held, dict) and held.get("schema") == SCHEMA else None
    ids = [task["id"] for task in tasks or () if isinstance(task, dict) and isinstance(task.get("id"), str)]
    return {path for id_ in ids for name in ("tables", "figures") for path in (folder / name).glob(f"{escape(id_)}-*")}
