"""Parts of sentences about numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convbench.analysis.estimates import Estimate
from convbench.report.numbers import Ends, level_in_words, per_cent

_NAMED = 5


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; of many the first few."""
    shown = [*names] if len(names) <= _NAMED else [*names[: _NAMED - 1], "others"]
    return " and ".join([*([", ".join(shown[:-1])] if shown[1:] else []), *shown[-1:]])


def either(names: Sequence[str], rest: Sequence[str]) -> str:
    """The names; ``the others`` where they are many and the rest, which the sentence names too, are few."""
    return "the others" if len(names) > _NAMED and len(rest) <= _NAMED else listed(names)


def are(names: Sequence[str]) -> str:
    """The verb after a list of names."""
    return "is" if len(names) == 1 else "are"


def sizes(values: Iterable[float]) -> str:
    """How large differences are, whatever their sign: ``4.1 points``, ``4.1 to 9.0 points``."""
    shown = sorted({per_cent(abs(value)) for value in values}, key=float)
    return " to ".join([*shown[:1], *shown[1:][-1:]]) + " points"


def interval(ends: Ends | None, level: float) -> str:
    """``95 % interval 1.0 to 4.4``; says where there is none."""
    return f"{level_in_words(level)} interval {per_cent(ends[0])} to {per_cent(ends[1])}" if ends else "no interval"


def holds_zero(estimate: Estimate) -> bool:
    """Whether an estimate is not told apart from 0: its interval holds 0, or it has none."""
    return estimate.interval is None or estimate.interval[0] <= 0 <= estimate.interval[1]
