"""Which cells of a study a report can be made over, and why the others are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from convbench.errors import ConvbenchError, UsageError
from convbench.harness.finished import load_run
from convbench.training.study.cell_file import CellFile, read_cell
from convbench.training.study.execute import Workshop
from convbench.training.study.origin import difference
from convbench.training.study.plan import Cell, cells_of

NOT_YET = "not finished"
_ANOTHER = "was made from something else"


@dataclass(frozen=True, slots=True)
class FinishedCells:
    """The cells of a study.

    Attributes:
        cells: Those that a report is made over.
        missing: Every other one -> why it is not among them: ``NOT_YET``, or what is wrong with it, without its folder.
    """

    cells: Mapping[Cell, CellFile]
    missing: Mapping[Cell, str]


def finished_cells(shop: Workshop) -> FinishedCells:
    """Looks at every cell; one that cannot be used does not keep the others from being reported.

    Where the user's data lie does not matter here, as nothing is read of them but what the runs name themselves.
    """
    cells: dict[Cell, CellFile] = {}
    missing: dict[Cell, str] = {}
    for cell in cells_of(shop.study):  # trained ones come before those that are put together from them
        folder = cell.folder(shop.out)
        try:
            found = read_cell(folder)
            reason = NOT_YET if found is None else _why_not(cell, found, shop, missing)
        except ConvbenchError as error:
            found, reason = None, str(error).replace(f"{folder}/", "")
        if found is None or reason:
            missing[cell] = reason
        else:
            cells[cell] = found
    return FinishedCells(cells, missing)


def refuse_none(found: FinishedCells, out: Path) -> None:
    """Raises ``UsageError`` where no cell can be reported.

    Args:
        found: The study's cells.
        out: Its folder.
    """
    if found.cells:
        return
    wrong = [(cell, reason) for cell, reason in found.missing.items() if reason != NOT_YET]
    if wrong:
        cell, reason = wrong[0]
        raise UsageError(f"{out}: no cell of the study can be reported: {cell}: {reason}")
    raise UsageError(f"{out}: no cell of the study is finished, so there is nothing to report; run it without --report-only")


def _why_not(cell: Cell, held: CellFile, shop: Workshop, missing: Mapping[Cell, str]) -> str:
    """What is wrong with a cell that says that it is finished; empty where nothing is.

    Raises:
        ConvbenchError: One of its runs is gone or damaged.
    """
    if found := difference(held, replace(shop.origin(cell), places=None)):
        return f"{_ANOTHER}: {found}; choose another --out, or remove the folder"
    for name in shop.study.arms[cell.arm].parts:
        part = Cell(name, cell.seed)
        if missing.get(part, "").startswith(_ANOTHER):
            return f"is put together from {part}, which {_ANOTHER}"
    for runs in (held.runs, *held.evidence.values()):
        for place in runs.values():
            _ = load_run(cell.folder(shop.out) / place, cache=shop.cache).scores  # read, and found whole
    return ""
