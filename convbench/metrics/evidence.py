"""Passage identification: whether the passages that a response names as its evidence are those of a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convbench.metrics.base import MISSING, Measure, Side, signature
from convbench.types import Score, Turn, TurnRecord

NAME = "evidence-F1"


class EvidenceMetric:
    """Set F1 of the response's evidence ids with each reference's, the best over the references (INSCIT's ``eval.py``).

    A response without evidence scores 0, also where the reference has none, as in the original. Where a dataset does not say which
    passages each reference rests on, the gold passages are the one set.
    """

    name = "evidence"
    version = 1
    needs: Side = "evidence"
    batch_size = 2048

    def measures(self) -> list[Measure]:
        """evidence-F1."""
        return [Measure(NAME, signature(NAME, refs="max", empty="zero"))]

    def check_resources(self) -> None:
        """Nothing is needed."""

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; a turn without a record or without evidence scores 0."""
        return [_score(turn, records.get(turn.id)) for turn in turns]


def _score(turn: Turn, record: TurnRecord | None) -> Score:
    if record is None:
        return Score(turn.id, NAME, 0.0, MISSING)
    sets = [set(reference.evidence) for reference in turn.references if reference.kind != "knowledge"]
    if not any(sets):
        sets = [set(turn.gold)]
    return Score(turn.id, NAME, max(_f1(set(record.evidence), gold) for gold in sets))


def _f1(given: set[str], gold: set[str]) -> float:
    both = len(given & gold)
    return 2 * both / (len(given) + len(gold)) if both else 0.0
