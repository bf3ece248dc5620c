"""What every response metric shares: which turns have something to compare, and what the others score."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from convbench.errors import UsageError
from convbench.metrics.base import MISSING, Against
from convbench.types import Score, Turn, TurnRecord

NO_REFERENCE = "no reference response is known for this turn"
NO_KNOWLEDGE = "no knowledge text is known for this turn"
NOTHING_GIVEN = "the response was given no passages"

_KINDS = {"response": ("response", "additional"), "knowledge": ("knowledge",)}

Compared: TypeAlias = tuple[Sequence[float | None], str | None]
"""One value a measure, and the reason where there is something to say about them."""


_SIDE = re.compile(r"\((response|knowledge)\)$")


def against(family: str, names: Sequence[str]) -> tuple[Against, list[str]]:
    """Which texts measures compare with, and their names without it: ``F1(knowledge)`` is ``F1`` against the knowledge text.

    ``(response)`` may be written where a reader could take the measure for the other. All names must agree, as one metric compares with
    one kind of text.

    Raises:
        UsageError: They do not.
    """
    sides = {match[1] if (match := _SIDE.search(name)) else "response" for name in names}
    if len(sides) != 1:
        raise UsageError(f"{family}: {', '.join(names)} compare with different texts; expected all with (knowledge), or none")
    return ("knowledge" if sides == {"knowledge"} else "response"), [_SIDE.sub("", name) for name in names]


def references_of(turn: Turn, kind: Against = "response") -> list[str]:
    """The texts a response is compared with, in order: kinds ``response`` and ``additional``, or the knowledge texts."""
    return [reference.text for reference in turn.references if reference.kind in _KINDS[kind]]


def response_of(records: Mapping[str, TurnRecord], turn: Turn) -> str | None:
    """The response that a run gives to ``turn``, or None."""
    record = records.get(turn.id)
    return record.response if record else None


def compared_texts(turns: Sequence[Turn], records: Mapping[str, TurnRecord], kind: Against = "response") -> list[tuple[str, list[str]]]:
    """The responses that there are, each with the texts it is compared with: what a metric needs that computes all of them at once.

    Turns without a response are left out, as are those without such texts (see ``score_responses``).
    """
    found = ((response_of(records, turn), references_of(turn, kind)) for turn in turns)
    return [(response, references) for response, references in found if response is not None and references]


def score_responses(
    turns: Sequence[Turn],
    records: Mapping[str, TurnRecord],
    names: Sequence[str],
    compare: Callable[[str, list[str]], Compared],
    kind: Against = "response",
) -> list[Score]:
    """One score for each (turn, measure), turns in order.

    A turn without reference texts has no value, whatever the run holds, so that every system is averaged over the same turns; a turn
    without a response scores 0.

    Args:
        turns: The turns.
        records: The run.
        names: The measures.
        compare: Response and reference texts (one or more) -> values in the order of ``names``, and a reason.
        kind: Which texts responses are compared with.
    """
    scores = []
    for turn in turns:
        values, reason = _compared(turn, response_of(records, turn), len(names), compare, kind)
        scores += [Score(turn.id, name, value, reason) for name, value in zip(names, values, strict=True)]
    return scores


def _compared(turn: Turn, response: str | None, count: int, compare: Callable[[str, list[str]], Compared], kind: Against) -> Compared:
    references = references_of(turn, kind)
    if not references:
        return [None] * count, NO_REFERENCE if kind == "response" else NO_KNOWLEDGE
    if response is None:
        return [0.0] * count, MISSING
    return compare(response, references)
