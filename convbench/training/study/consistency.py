"""Measures of consistency between retrieval and response, turn by turn, beside those that runs were scored with; none needs a judge.

UniConv (Mo et al. 2025) says that a mismatch of training data raises inconsistency, and not how it is measured. Here it is the share of
turns on which the two sides disagree: gold retrieved and yet no good response, or none retrieved and yet a good one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.outcomes import hits, joint, outcome_shares, outcomes
from convbench.comparison.sides import Sides, sides_of
from convbench.comparison.task import Entrant, Task
from convbench.harness.agreement_file import Whose, agreement_path, read_agreement

if TYPE_CHECKING:
    from numpy.typing import NDArray

_USUAL_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Derived:
    """A measure that is made from both sides of a run.

    Attributes:
        meaning: What a turn's value is.
        higher_is_better: The direction.
    """

    meaning: str
    higher_is_better: bool


DERIVED: Mapping[str, Derived] = {
    "inconsistent": Derived("1 where gold was retrieved and the response is not good, or not retrieved and it is good; else 0", False),
    "used-hit": Derived("1 where gold was retrieved and the response is good; else 0", True),
    "unused-hit": Derived("1 where gold was retrieved and the response is not good; else 0", False),
    "lucky-miss": Derived("1 where gold was not retrieved and the response is good; else 0", False),
    "joint": Derived("the response's value where gold was retrieved; else 0 (the form of KILT)", True),
    "agreement-own": Derived("rank correlation of the model's embedding scores and its likelihoods of its own response", True),
    "agreement-gold": Derived("the same with the likelihoods of the reference response", True),
    "top1-own": Derived("1 where both orders of agreement-own put the same passage first; else 0", True),
    "top1-gold": Derived("1 where both orders of agreement-gold put the same passage first; else 0", True),
}
"""Name -> measure."""

OF_SIDES = ("inconsistent", "used-hit", "unused-hit", "lucky-miss", "joint")
"""Those of a run's own rankings and responses; the others need ``convbench agree``."""


def depth_of(task: Task, asked: int | None) -> int:
    """How many ranks count as retrieved: what is asked for, else the most passages that a responder was shown."""
    shown = [count for entrant in task.entrants if isinstance(count := entrant.run.results.conditions.get("passages"), int)]
    return asked or max(shown, default=_USUAL_DEPTH)


def derived_values(task: Task, name: str, *, depth: int | None, good: float) -> NDArray[np.float64]:
    """The turns' values under a derived measure, NaN where a turn has none; shape (turns, entrants).

    Args:
        task: The runs.
        name: The measure, a key of ``DERIVED``.
        depth: k; None: as ``depth_of`` says.
        good: The value from which on a response is good.
    """
    if name in OF_SIDES:
        return _of_sides(sides_of(task), name, depth_of(task, depth), good)
    kind, _, whose = name.partition("-")
    response: Whose = "own" if whose == "own" else "gold"
    return np.stack([_agreement(task, entrant, response, top1=kind == "top1") for entrant in task.entrants], axis=1)


def _of_sides(sides: Sides, name: str, depth: int, good: float) -> NDArray[np.float64]:
    found = hits(sides.ranks, depth)
    if name == "joint":
        return joint(found, sides.responses)
    places = outcomes(found, sides.responses, good)
    used, unused, lucky, _ = np.moveaxis(outcome_shares(places).reshape(*places.shape, 4), 2, 0)
    return np.asarray({"used-hit": used, "unused-hit": unused, "lucky-miss": lucky, "inconsistent": unused + lucky}[name])


def _agreement(task: Task, entrant: Entrant, whose: Whose, *, top1: bool) -> NDArray[np.float64]:
    """Of one run; NaN throughout where ``convbench agree`` was not run."""
    path = agreement_path(entrant.run.path, whose)
    turns = read_agreement(path).turns if path.exists() else {}
    found = [turns.get(turn.id) for turn in task.turns]
    values = [None if turn is None else turn.top1 if top1 else turn.rank_correlation for turn in found]
    return np.array(values, dtype=np.float64)
