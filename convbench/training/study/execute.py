"""Working through a study's cells: what is finished is left alone, what was interrupted goes on, what another process has is left to it."""

from __future__ import annotations

import gc
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convbench.errors import ConvbenchError, StorageError, UsageError
from convbench.harness.agree import agree
from convbench.harness.agreement_file import Whose
from convbench.io.lock import Lock
from convbench.metrics.selection import Selection
from convbench.training.fine_tune import CHECKPOINT, RUNS, fine_tune
from convbench.training.locking import locked
from convbench.training.log import read_log
from convbench.training.logs import LOG
from convbench.training.loop import CHECKPOINTS
from convbench.training.processes import forget_accelerator
from convbench.training.recipe import Recipe
from convbench.training.study.cell_file import CellFile, Runs, read_cell, write_cell
from convbench.training.study.conditions import responds, run_again
from convbench.training.study.measures import MeasureError, check_measures
from convbench.training.study.origin import Origin, contents_told, origin_of, refuse_other
from convbench.training.study.plan import Cell, Study
from convbench.views.evidence import EvidenceError

log = logging.getLogger(__name__)

PASSAGES = 5
"""Passages of each turn that self-agreement is computed over, as by ``convbench agree``."""


class BusyError(UsageError):
    """Another process is at work on a cell."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What work on every cell needs.

    Attributes:
        study: The study.
        recipes: Of the cells that are trained.
        out: The study's folder.
        cache: Folder for stores and indexes.
        offline: Refuse the network.
    """

    study: Study
    recipes: Mapping[Cell, Recipe]
    out: Path
    cache: Path
    offline: bool

    def origin(self, cell: Cell) -> Origin:
        """What a cell is made from."""
        arm = self.study.arms[cell.arm]
        if arm.trained:
            return origin_of(self.recipes[cell], self.cache)
        return Origin({"retriever": arm.retriever, "generator": arm.generator}, {}, {})

    def held(self, cell: Cell, origin: Origin) -> CellFile | None:
        """What a finished cell says; None where it is not finished.

        Raises:
            UsageError: It was made from something else.
            DataError: Its file is not what a study writes.
        """
        found = read_cell(cell.folder(self.out))
        if found is not None:
            refuse_other(cell.folder(self.out), found, origin)
        return found


def finish_cells(shop: Workshop, cells: Sequence[Cell]) -> list[ConvbenchError]:
    """Trains and evaluates cells; one that fails does not keep the others from being finished.

    Returns:
        The errors of those that failed.

    Raises:
        StorageError: The disk is full, which the next cell would meet too.
        MeasureError: The study names a measure that its runs do not have.
    """
    errors: list[ConvbenchError] = []
    for number, cell in enumerate(cells, 1):
        log.info("cell %d of %d: %s", number, len(cells), cell)
        gc.collect()  # the last cell's model holds itself, and the next one needs its memory
        forget_accelerator()  # the next cell may be of another precision
        try:
            _finish(shop, cell)
        except BusyError as error:
            log.warning("%s", error)
        except (StorageError, MeasureError):
            raise
        except ConvbenchError as error:
            log.error("%s failed: %s", cell, error)
            errors.append(error)
    return errors


def _finish(shop: Workshop, cell: Cell) -> None:
    folder = cell.folder(shop.out)
    with _locked(folder, lambda who: f"{cell}: {who} is at work on it; it is left to that one"):
        found = shop.held(cell, shop.origin(cell))
        wanted = (*shop.study.evidence, *(f"agreement {whose}" for whose in shop.study.agreement))
        if found is None or not set(wanted) <= set(found.asked):
            begun = found or (_trained(shop, cell) if cell in shop.recipes else _put_together(shop, cell))
            write_cell(folder, replace(_evaluated(shop, cell, begun), asked=tuple(dict.fromkeys([*begun.asked, *wanted]))))
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # what a training goes on from is large, and this one is done


def _locked(folder: Path, message: Callable[[str], str]) -> Lock:
    """The lock of a cell's folder; ``BusyError`` with a message where another process, for which it is given words, holds it."""
    return locked(folder / ".cell.lock", lambda who: BusyError(message(who)), "study")


def _trained(shop: Workshop, cell: Cell) -> CellFile:
    recipe, folder = shop.recipes[cell], cell.folder(shop.out)
    tuned = fine_tune(recipe, folder, cache=shop.cache, offline=shop.offline)
    updates = [line for line in read_log(folder / LOG) if "losses" in line]
    origin = shop.origin(cell)
    return CellFile(
        made_from=origin.made_from,
        places=origin.places or {},
        runs={name: path.relative_to(folder).as_posix() for name, path in tuned.runs.items()},
        training={
            "steps": tuned.trained.steps,
            "chosen_step": tuned.trained.chosen_step,
            "stopped_early": tuned.trained.stopped_early,
            "best": tuned.trained.best,
            "tokens": sum(line["tokens"] for line in updates),
            "seconds": round(sum(line["seconds"] for line in updates), 1),
        },
        contents=contents_told(folder / CHECKPOINT),
    )


def _put_together(shop: Workshop, cell: Cell) -> CellFile:
    """One arm's checkpoint answers from another arm's rankings, both from the same seed."""
    retriever, generator = (Cell(name, cell.seed) for name in shop.study.arms[cell.arm].parts)
    parts = {part: shop.held(part, shop.origin(part)) for part in (retriever, generator)}
    if lacking := [part for part, found in parts.items() if found is None]:
        message = f"{cell}: needs {' and '.join(map(str, lacking))} to be finished first; run the study again then"
        for part in lacking:  # where another process is at work on one, that is no error
            _locked(part.folder(shop.out), lambda _: message).close()
        raise UsageError(message)
    folder, runs = cell.folder(shop.out), dict[str, str]()
    rankings, responses = (found.runs for found in parts.values() if found is not None)
    for name, place in responses.items():
        runs[name] = f"{RUNS}/{name}"
        run_again(
            generator.folder(shop.out) / place,
            folder / runs[name],
            _selection(shop, cell),
            cache=shop.cache,
            offline=shop.offline,
            rankings=retriever.folder(shop.out) / rankings[name],
        )
    return CellFile(made_from=shop.origin(cell).made_from, places={}, runs=runs)


def _evaluated(shop: Workshop, cell: Cell, begun: CellFile) -> CellFile:
    """Every further condition that is asked for, as far as the arm responds."""
    folder = cell.folder(shop.out)
    if not all(responds(folder / place) for place in begun.runs.values()):
        return begun
    check_measures(shop.study, [folder / place for place in begun.runs.values()], shop.cache)
    evidence: dict[str, Runs] = dict(begun.evidence)
    for condition in shop.study.evidence:
        evidence[condition] = _shown(shop, cell, begun, condition)
    own_rankings = shop.study.arms[cell.arm].trained
    for whose in shop.study.agreement if own_rankings else ():
        for place in begun.runs.values():
            _agree(folder / place, whose, shop)
    agreement = (*begun.agreement, *shop.study.agreement) if own_rankings else ()
    return replace(begun, evidence=evidence, agreement=tuple(dict.fromkeys(agreement)))


def _shown(shop: Workshop, cell: Cell, begun: CellFile, condition: str) -> Runs:
    """The runs under an evidence condition, on the sets that have what it shows."""
    folder, selection = cell.folder(shop.out), _selection(shop, cell)
    found = {}
    for name, own in begun.runs.items():
        place = f"evidence/{condition}/{name}"
        try:
            run_again(folder / own, folder / place, selection, cache=shop.cache, offline=shop.offline, evidence=condition)
        except EvidenceError as error:
            log.warning("%s on %s: evidence %s is left out: %s", cell, name, condition, error)
        else:
            found[name] = place
    return found


def _agree(run: Path, whose: Whose, shop: Workshop) -> None:
    agree(run, k=PASSAGES, response=whose, cache=shop.cache, offline=shop.offline)


def _selection(shop: Workshop, cell: Cell) -> Selection:
    """What the recipe scores; an arm that is put together is scored as its generator is."""
    recipe = shop.recipes.get(cell) or shop.recipes[Cell(str(shop.study.arms[cell.arm].generator), cell.seed)]
    return Selection(families=recipe.evaluation.metrics)
