"""Which measures two runs are compared by, turn by turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convbench.comparison.gather import DECLARED
from convbench.comparison.side_by_side import MeasurePair
from convbench.errors import UsageError
from convbench.registry import did_you_mean


def usual_measures(pairs: Sequence[MeasurePair]) -> list[MeasurePair]:
    """A ranking measure and a response measure, those that a comparison declares first; rankings lead where both runs have them."""
    usable = sorted((pair for pair in pairs if pair.has_turns and pair.ranks), key=_usual)
    return [first for side in ("ranking", "response") if (first := next((pair for pair in usable if pair.side == side), None)) is not None]


def _usual(pair: MeasurePair) -> int:
    return DECLARED.index(pair.name) if pair.name in DECLARED else len(DECLARED)


def named_measures(pairs: Sequence[MeasurePair], names: Iterable[str]) -> list[MeasurePair]:
    """The measures of names, in the order given; each is ``NAME``, or ``PROTOCOL/NAME`` where several protocols have one of that name.

    Raises:
        UsageError: Unknown to both runs together, ambiguous, not to be compared, or without values of turns.
    """
    return list(dict.fromkeys(_named(pairs, name) for name in names))


def _named(pairs: Sequence[MeasurePair], name: str) -> MeasurePair:
    found = [pair for pair in pairs if name == pair.key] or [pair for pair in pairs if name == pair.name]
    if not found:
        known = list(dict.fromkeys(text for pair in pairs for text in (pair.name, pair.key)))
        plain = ", ".join(dict.fromkeys(pair.name for pair in pairs))
        raise UsageError(f"the two runs have no measure {name!r} in common.{did_you_mean(name, known)} They share: {plain}")
    if len(found) > 1:
        raise UsageError(f"several protocols have a measure {name!r}: say which, {' or '.join(pair.key for pair in found)}")
    (pair,) = found
    if pair.differing:
        raise UsageError(f"{pair.key} does not compare: {'; '.join(map(str, pair.differing))}; score both runs the same way")
    if pair.aggregate == "corpus":
        raise UsageError(f"{pair.key} is computed over all turns at once, so no turn can be told apart by it; choose another measure")
    if not pair.has_turns:
        raise UsageError(f"{pair.key}: no turn has a value in both runs; choose another measure")
    return pair
