"""What a report states: the finished cells, what they were made from and on, and the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.analysis.resampling import Resampling
from convbench.harness.results import Machine, Results, read_results
from convbench.io.jsonl import read_json
from convbench.report.words import counted
from convbench.training.card import FACTS
from convbench.training.fine_tune import CHECKPOINT
from convbench.training.study.cell_file import CellFile
from convbench.training.study.execute import Workshop
from convbench.training.study.finished import NOT_YET, finished_cells, refuse_none
from convbench.training.study.plan import ENOUGH, Cell, Study
from convbench.training.study.results import SetResults, results_of
from convbench.training.study.scores import read_scores_of, runs_of


@dataclass(frozen=True, slots=True)
class StudyReport:
    """A study, as far as it is finished.

    Attributes:
        study: The study.
        recipe: The name of its recipe.
        out: Its folder.
        cells: The finished cells.
        missing: The others -> why they are not among them.
        seconds: Finished cell -> seconds of its runs.
        sources: What was trained on, as the first trained arm's card states it.
        base: The checkpoint that training began with, likewise.
        packages: Package -> its versions, several where cells differ.
        machines: What runs were computed on.
        sets: The test sets.
        plan: How conversations were resampled.
    """

    study: Study
    recipe: str
    out: Path
    cells: Mapping[Cell, CellFile]
    missing: Mapping[Cell, str]
    seconds: Mapping[Cell, float]
    sources: tuple[Mapping[str, Any], ...]
    base: Mapping[str, Any]
    packages: Mapping[str, tuple[str, ...]]
    machines: tuple[Machine, ...]
    sets: tuple[SetResults, ...]
    plan: Resampling

    @property
    def notes(self) -> list[str]:
        """What a reader must know before the numbers."""
        return list(_notes(self))


def report_of(shop: Workshop, plan: Resampling | None = None) -> StudyReport:
    """Reads whatever cells of a study are finished, and computes everything that is said of them; what is wrong with others is a note.

    Args:
        shop: The study and its folder.
        plan: How conversations are resampled; None: as in comparisons.

    Raises:
        UsageError: No cell is finished, or none that is was made from this study.
        ConvbenchError: The runs do not compare, or the data that they were made from are gone.
    """
    chosen = plan or Resampling()
    finished = finished_cells(shop)
    refuse_none(finished, shop.out)
    cells = finished.cells
    runs = runs_of(cells, shop.out)
    sets = tuple(results_of(read_scores_of(name, found, shop.study, shop.cache), shop.study, chosen) for name, found in runs.items())
    every = [result for each in sets for result in each.scores.results]
    facts = _facts(cells, shop)
    return StudyReport(
        study=shop.study,
        recipe=next(iter(shop.recipes.values())).name,
        out=shop.out,
        cells=cells,
        missing=finished.missing,
        seconds={cell: _seconds(cell.folder(shop.out), found) for cell, found in cells.items()},
        sources=tuple(facts.get("sources", ())),
        base=facts.get("base", {}),
        packages=_versions(every),
        machines=tuple(_machines(every)),
        sets=sets,
        plan=chosen,
    )


def _facts(cells: Mapping[Cell, CellFile], shop: Workshop) -> Mapping[str, Any]:
    """What the card of the first trained arm states; empty where none is finished."""
    for cell in sorted(cells, key=lambda cell: list(shop.study.arms).index(cell.arm)):
        path = cell.folder(shop.out) / CHECKPOINT / FACTS
        if shop.study.arms[cell.arm].trained and path.exists():
            facts: dict[str, Any] = read_json(path)
            return facts
    return {}


def _seconds(folder: Path, cell: CellFile) -> float:
    """What all runs of a cell took, models and indexes included."""
    places = [place for runs in (cell.runs, *cell.evidence.values()) for place in runs.values()]
    return sum(phase.seconds for place in places for phase in read_results(folder / place / "results.json").cost.phases)


def _versions(results: Iterable[Results]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for each in results:
        for name, version in each.packages.items():
            found.setdefault(name, {})[version] = None
    return {name: tuple(versions) for name, versions in sorted(found.items())}


def _machines(results: Iterable[Results]) -> Iterator[Machine]:
    seen: list[Machine] = []
    for each in results:
        if (told := each.cost.environment) is not None and told not in seen:
            seen.append(told)
            yield told


def _notes(report: StudyReport) -> Iterator[str]:
    study = report.study
    if report.missing:
        to_do = [str(cell) for cell, reason in report.missing.items() if reason == NOT_YET]
        total = len(report.missing) + len(report.cells)
        yield f"{len(report.cells)} of {total} cells are reported{'; still to do: ' if to_do else ''}{'; '.join(to_do)}."
        yield from (f"Missing: {cell}: {reason}." for cell, reason in report.missing.items() if reason != NOT_YET)
    finished = {arm: sum(cell.arm == arm for cell in report.cells) for arm in study.arms}
    for count in sorted({count for count in finished.values() if count < ENOUGH}):
        few = ", ".join(arm for arm, each in finished.items() if each == count)
        yield f"With {counted(count, 'finished seed')}, fewer than {ENOUGH}, the spread over seeds is hardly known: {few}."
    if several := [name for name, versions in report.packages.items() if len(versions) > 1]:
        yield f"Cells were made with different versions of {', '.join(several)}."
    for each in report.sets:
        if each.scores.results and each.scores.results[0].dataset.tier == "mini":
            yield f"{each.scores.name} is a bundled mini set, for trying things out: its numbers say little about models."
