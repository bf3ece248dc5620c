"""The measures that a study names, found among those of its runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from convbench.comparison.gather import tasks_of
from convbench.comparison.task import Task, Yardstick
from convbench.errors import UsageError
from convbench.harness.finished import load_run
from convbench.registry import did_you_mean
from convbench.training.study.consistency import DERIVED
from convbench.training.study.plan import Study


class MeasureError(UsageError):
    """A study names a measure that it cannot compare arms by; no further cell would change that."""


@dataclass(frozen=True, slots=True)
class StudyMeasure:
    """A measure of a study.

    Attributes:
        name: As the study calls it.
        key: ``protocol/name``; of a derived measure its name.
        side: ``ranking``, ``response``, ``evidence``, or ``both`` where it is made from rankings and responses.
        higher_is_better: The direction.
        meaning: Its signature, or what it is in words.
    """

    name: str
    key: str
    side: str
    higher_is_better: bool
    meaning: str


def measure_of(name: str, yardsticks: Sequence[Yardstick]) -> StudyMeasure:
    """The measure of a name: a derived one, or ``NAME`` or ``PROTOCOL/NAME`` of the runs.

    Where several protocols have one of that name, the general protocols' is meant, as in a comparison.

    Raises:
        MeasureError: There is none, it is ambiguous, or arms cannot be compared by it turn by turn.
    """
    if name in DERIVED:
        derived = DERIVED[name]
        return StudyMeasure(name, name, "both", derived.higher_is_better, derived.meaning)
    found = _first(
        [each for each in yardsticks if each.key == name],
        [each for each in yardsticks if each.label == name],
        [each for each in yardsticks if each.name == name],
    )
    if not found:
        known = list(dict.fromkeys([*(each.name for each in yardsticks if each.tested), *DERIVED]))
        raise MeasureError(f"no run has a measure {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}")
    if len(found) > 1:
        raise MeasureError(f"several protocols have a measure {name!r}: say which, {' or '.join(each.key for each in found)}")
    (one,) = found
    if not one.tested:
        why = "is computed over all turns at once" if one.aggregate == "corpus" else "describes, and does not say what is better"
        raise MeasureError(f"{one.key} {why}, so arms are not compared by it; choose another measure")
    return StudyMeasure(name, one.key, one.side, one.higher_is_better, one.signature)


def check_measures(study: Study, runs: Sequence[Path], cache: Path) -> None:
    """Refuses a measure that runs do not have, before hours are spent on more of them.

    Args:
        study: The study.
        runs: Runs of a system that retrieves and responds.
        cache: Folder of stores.

    Raises:
        MeasureError: A measure is not among theirs.
    """
    for path in runs:
        for task in tasks_of([load_run(path, cache=cache)]):
            measures_of(study.all_measures, task)


def measures_of(names: Iterable[str], task: Task) -> tuple[StudyMeasure, ...]:
    """The measures of names in a task."""
    return tuple(measure_of(name, task.measures) for name in names)


def _first(*choices: list[Yardstick]) -> list[Yardstick]:
    return next((found for found in choices if found), [])
