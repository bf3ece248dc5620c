"""What flipped: the turns on which two runs differ under a measure, with all that either did on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from convbench.analysis.paired import EQUAL
from convbench.comparison.side_by_side import MeasurePair
from convbench.datasets.loading import Dataset
from convbench.harness.finished import FinishedRun
from convbench.types import Grades, Turn, conversation_of

Order = Literal["worse", "better", "size"]
"""The second run's greatest losses first, its greatest gains first, or the greatest differences whichever way they go."""


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """What one run did on a turn.

    Attributes:
        value: Its value under the measure.
        beside: Measure -> value, for the measures shown beside it.
        sent: The text that was sent to the retriever; empty where there was none.
        passages: (passage id, score), best first.
        response: The response; None where there is none.
        gold_rank: Rank of the first relevant passage, from 1; None where none was retrieved, or none is known.
    """

    value: float
    beside: Mapping[str, float | None]
    sent: str
    passages: tuple[tuple[str, float], ...]
    response: str | None
    gold_rank: int | None


@dataclass(frozen=True, slots=True)
class Flip:
    """A turn on which the two runs differ.

    Attributes:
        turn_id: The turn.
        first: What the first run did.
        second: What the second did.
        query: The user's words.
        gold: Gold passages with grades; empty where the turn is not judged.
        references: The reference responses.

    The last three are None where the dataset is not at hand.
    """

    turn_id: str
    first: TurnOutcome
    second: TurnOutcome
    query: str | None
    gold: Grades | None
    references: tuple[str, ...] | None

    @property
    def conversation(self) -> str:
        """Its conversation."""
        return conversation_of(self.turn_id)

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second.value - self.first.value


@dataclass(frozen=True, slots=True)
class Counts:
    """How many turns went which way, the measure's direction accounted for; ``one_sided`` turns have a value in one run only."""

    first_better: int
    equal: int
    second_better: int
    one_sided: int

    @property
    def turns(self) -> int:
        """Turns that both have a value for."""
        return self.first_better + self.equal + self.second_better


@dataclass(frozen=True, slots=True)
class Flips:
    """All turns that flipped under a measure, in the order asked for."""

    measure: MeasurePair
    beside: tuple[MeasurePair, ...]
    counts: Counts
    turns: tuple[Flip, ...]


def flips(
    first: FinishedRun,
    second: FinishedRun,
    measures: Sequence[MeasurePair],
    turn_ids: Sequence[str],
    dataset: Dataset | None,
    order: Order = "size",
) -> Flips:
    """The turns whose values differ.

    Args:
        first: A run.
        second: Another on the same turns.
        measures: The first one decides what flipped; the others are shown beside it.
        turn_ids: Every turn, in order; equal differences stay in it.
        dataset: Where queries, gold passages and references come from; None where it is not at hand.
        order: Which turns come first.
    """
    measure, *beside = measures
    ours, theirs = (run.scores[measure.protocol, measure.name] for run in (first, second))
    turns: Mapping[str, Turn] = {turn.id: turn for turn in dataset.turns} if dataset else {}
    relevant_from = dataset.card.splits[dataset.split].relevant_from if dataset else 1
    direction = 1.0 if measure.higher_is_better else -1.0
    gains: list[float] = []
    found: list[Flip] = []
    one_sided = 0
    for turn_id in turn_ids:
        pair = ours.get(turn_id), theirs.get(turn_id)
        if pair[0] is None or pair[1] is None:
            one_sided += pair != (None, None)
            continue
        gains.append(direction * (pair[1] - pair[0]))
        if abs(gains[-1]) <= EQUAL:
            continue
        turn = turns.get(turn_id)
        relevant = {id_ for id_, grade in turn.gold.items() if grade >= relevant_from} if turn else set()
        outcomes = [
            _outcome(run, turn_id, value, beside, relevant) for run, value in zip((first, second), pair, strict=True) if value is not None
        ]
        found.append(Flip(turn_id, outcomes[0], outcomes[1], *_known(turn)))
    counts = Counts(
        sum(gain < -EQUAL for gain in gains), sum(abs(gain) <= EQUAL for gain in gains), sum(gain > EQUAL for gain in gains), one_sided
    )
    return Flips(measure, tuple(beside), counts, tuple(sorted(found, key=_key(order, direction))))


def _key(order: Order, direction: float) -> Callable[[Flip], float]:
    """Sorts ascending."""
    if order == "size":
        return lambda flip: -abs(flip.difference)
    sign = direction if order == "worse" else -direction
    return lambda flip: sign * flip.difference


def _known(turn: Turn | None) -> tuple[str | None, Grades | None, tuple[str, ...] | None]:
    if turn is None:
        return None, None, None
    return turn.query, turn.gold, tuple(reference.text for reference in turn.references if reference.text and reference.kind != "knowledge")


def _outcome(run: FinishedRun, turn_id: str, value: float, beside: Sequence[MeasurePair], relevant: set[str]) -> TurnOutcome:
    record = run.records.get(turn_id)
    return TurnOutcome(
        value=value,
        beside={pair.key: run.scores[pair.protocol, pair.name].get(turn_id) for pair in beside},
        sent=record.query if record else "",
        passages=record.passages if record else (),
        response=record.response if record else None,
        gold_rank=record.rank_of(relevant) if record else None,
    )
