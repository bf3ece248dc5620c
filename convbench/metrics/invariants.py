"""What must hold among the measures of a run, whatever the run: a result that breaks it is wrong, and is not written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

from convbench.errors import InvariantError

_TOLERANCE = 1e-9


def check_turn(turn_id: str, values: Mapping[str, float], relevant: int, gold: Mapping[str, int]) -> None:
    """Checks one turn's retrieval measures against one another.

    Args:
        turn_id: The turn, for the message.
        values: Measure -> value; what is absent is not checked.
        relevant: How many passages count as relevant.
        gold: Passage id -> grade.

    Raises:
        InvariantError: Some contradict one another.
    """
    for name, value in values.items():
        if not 0 <= value <= 1 + _TOLERANCE:
            raise _broken(turn_id, f"{name} is {value!r}; expected a value from 0 to 1")
    _same(turn_id, values, ("P@1", "Success@1", "Hits@1", "RR@1"))
    _ascending(turn_id, values, "RR")
    _ascending(turn_id, values, "R")
    _ascending(turn_id, values, "Success")
    _ascending(turn_id, values, "Hits")
    if len(gold) == relevant == 1:
        _one_gold(turn_id, values)


def check_aggregate(name: str, value: float, mean: float, scale: str) -> None:
    """Checks a measure's aggregate: the mean of its turns' values, within the measure's scale.

    Raises:
        InvariantError: It is not.
    """
    if not math.isclose(value, mean, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        raise _broken("all turns", f"{name} is {value!r}, and the mean of its turns' values {mean!r}")
    check_scale("all turns", name, value, scale)


def check_scale(where: str, name: str, value: float, scale: str) -> None:
    """Checks that a value is finite and, on the scale ``unit``, in [0, 1].

    Raises:
        InvariantError: It is not.
    """
    if not math.isfinite(value) or (scale == "unit" and not -_TOLERANCE <= value <= 1 + _TOLERANCE):
        raise _broken(where, f"{name} is {value!r}; expected {'a value from 0 to 1' if scale == 'unit' else 'a finite number'}")


def check_counts(name: str, valued: int, left_out: int, turns: int, missing: int) -> None:
    """Checks that the turns of a measure add up.

    Raises:
        InvariantError: They do not.
    """
    if valued + left_out != turns or missing > turns:
        raise _broken("all turns", f"{name} has {valued} values, {left_out} turns without one and {missing} missing; expected {turns}")


def _same(turn_id: str, values: Mapping[str, float], names: tuple[str, ...]) -> None:
    found = {name: values[name] for name in names if name in values}
    if len(set(found.values())) > 1:
        raise _broken(turn_id, f"{' and '.join(f'{name} = {value!r}' for name, value in found.items())} differ; expected one value")


def _ascending(turn_id: str, values: Mapping[str, float], kind: str) -> None:
    """A deeper cutoff finds no less."""
    deep = sorted((int(name.partition("@")[2]), name) for name in values if name.startswith(f"{kind}@"))
    for (_, shallow), (_, deeper) in pairwise(deep):
        if values[shallow] > values[deeper] + _TOLERANCE:
            raise _broken(turn_id, f"{shallow} = {values[shallow]!r} is above {deeper} = {values[deeper]!r}")


def _one_gold(turn_id: str, values: Mapping[str, float]) -> None:
    """With one gold passage every nDCG@k is 1 / log2(rank + 1) within k and 0 beyond, whatever its grade."""
    deepest = max((int(name.partition("@")[2]) for name in values if name.startswith("RR@")), default=0)
    reciprocal = values.get(f"RR@{deepest}")
    if reciprocal is None:
        return
    rank = round(1 / reciprocal) if reciprocal else math.inf
    for name, value in values.items():
        kind, _, cutoff = name.partition("@")
        if kind == "nDCG" and cutoff and int(cutoff) <= deepest:
            expected = 1 / math.log2(rank + 1) if rank <= int(cutoff) else 0.0
            if not math.isclose(value, expected, abs_tol=1e-6):
                raise _broken(turn_id, f"{name} = {value!r} with the one gold passage at rank {rank}; expected {expected!r}")


def _broken(where: str, what: str) -> InvariantError:
    return InvariantError(f"{where}: {what}; these numbers cannot be right, so nothing was written: please report it")
