"""QuAC's evaluation, which OR-QuAC uses: F1 against several people's answers, and how often a system equals a person (HEQ).

The rules are those of ``scorer.py`` (Choi et al. 2018; prdwb/orconvqa-release), the odd ones too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Literal

from convbench.errors import UsageError
from convbench.metrics import squad
from convbench.metrics.base import MISSING, Measure, Side, signature
from convbench.metrics.overlap import overlap
from convbench.metrics.responses import NO_REFERENCE, references_of, response_of
from convbench.types import Score, Turn, TurnRecord

CANNOT_ANSWER = "CANNOTANSWER"
LOW_AGREEMENT = 0.4
NAMES = ("F1-quac", "HEQ-Q", "HEQ-D", "F1-quac-unfiltered", "F1-quac-unanswerable")

_FILTERED = f"people agree too little on the answer (human F1 below {LOW_AGREEMENT})"
_ANSWERABLE = "most people found an answer"
_ONE_A_DIALOG = "counted once a conversation, with its first turn"


class HeqMetric:
    """QuAC's measures.

    - ``F1-quac``: leave-one-out F1; turns whose human F1 is below 0.4 are left out, unless the run lacks them: then they count as 0.
    - ``HEQ-Q``: share of those turns on which the F1 is at least the human F1.
    - ``HEQ-D``: share of conversations in which that holds for every turn and none is missing; its value stands with the first turn.
    - ``F1-quac-unfiltered``: the same F1 over all turns.
    - ``F1-quac-unanswerable``: over the turns that half of the people or more found unanswerable, where only the answer
      ``CANNOTANSWER`` is right.

    Where half of the answers or more are ``CANNOTANSWER``, that is the only reference; otherwise those answers are dropped.

    Args:
        measures: Names of the measures.
    """

    name = "heq"
    version = 1
    needs: Side = "response"
    batch_size = 128
    whole_conversations: Literal[True] = True

    def __init__(self, measures: Sequence[str] = NAMES) -> None:
        if unknown := [name for name in measures if name not in NAMES]:
            raise UsageError(f"heq: no measure {unknown[0]!r}; expected {', '.join(NAMES)}")
        self._names = list(measures)

    def measures(self) -> list[Measure]:
        """The measures asked for."""
        parts = {"norm": "squad", "refs": "leave-one-out", "cannotanswer": "majority"}
        filters = {name: "none" if name == "F1-quac-unfiltered" else f"human-f1>={LOW_AGREEMENT}" for name in self._names}
        return [Measure(name, signature(name, **parts, turns_kept=filters[name])) for name in self._names]

    def check_resources(self) -> None:
        """Nothing is needed."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``, whole conversations."""
        scores = []
        for _, group in groupby(turns, key=attrgetter("conversation_id")):
            scores += self._conversation(list(group), records)
        return scores

    def _conversation(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        rows = [_row(turn, response_of(records, turn)) for turn in turns]
        good = all(row["HEQ-Q"].value in (None, 1.0) for row in rows)
        for number, (turn, row) in enumerate(zip(turns, rows, strict=True)):
            row["HEQ-D"] = Score(turn.id, "HEQ-D", None if number else float(good), _ONE_A_DIALOG if number else None)
        return [row[name] for row in rows for name in self._names]


def _row(turn: Turn, response: str | None) -> dict[str, Score]:
    """The scores of one turn by measure, ``HEQ-D`` apart."""
    references = majority(references_of(turn))
    if not references:
        return {name: Score(turn.id, name, None, NO_REFERENCE) for name in NAMES}
    unanswerable = references == [CANNOT_ANSWER]
    if response is None:
        missing = {name: Score(turn.id, name, 0.0, MISSING) for name in NAMES}
        return missing if unanswerable else missing | _without(turn, "F1-quac-unanswerable", _ANSWERABLE)
    human, value = human_f1(references), squad.leave_one_out([f1(reference, response) for reference in references])
    row = {name: Score(turn.id, name, value) for name in NAMES} | {"HEQ-Q": Score(turn.id, "HEQ-Q", float(value >= human))}
    if human < LOW_AGREEMENT:
        row |= _without(turn, "F1-quac", _FILTERED) | _without(turn, "HEQ-Q", _FILTERED)
    return row if unanswerable else row | _without(turn, "F1-quac-unanswerable", _ANSWERABLE)


def _without(turn: Turn, name: str, reason: str) -> dict[str, Score]:
    return {name: Score(turn.id, name, None, reason)}


def majority(references: Sequence[str]) -> list[str]:
    """The answers that count: ``CANNOTANSWER`` alone where half of the people or more gave it, else the others."""
    spans = [text for text in references if text != CANNOT_ANSWER]
    return [CANNOT_ANSWER] if references and 2 * len(spans) <= len(references) else spans


def human_f1(references: Sequence[str]) -> float:
    """How well a person does: each answer against the best of the others, averaged; 1 for a single answer."""
    if len(references) == 1:
        return 1.0
    tokens = [squad.tokens(text) for text in references]
    best = [max(overlap(other, own, 0.0).f1 for j, other in enumerate(tokens) if j != i) for i, own in enumerate(tokens)]
    return sum(best) / len(best)


def f1(reference: str, response: str) -> float:
    """Token F1, 0 where no token is in common; against ``CANNOTANSWER`` only the very same text counts."""
    if reference == CANNOT_ANSWER:
        return float(response == CANNOT_ANSWER)
    return overlap(squad.tokens(reference), squad.tokens(response), 0.0).f1
