"""Scoring a run: every metric of a protocol is a resumable stage of its own, so a new metric never needs new inference."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convbench.datasets.store import ArrowPassageStore
from convbench.errors import ResourceError, UsageError
from convbench.harness.execute import Execution
from convbench.harness.placed import PlacedPart, has_side, reads_passages
from convbench.harness.plan import split_batches
from convbench.harness.results import MetricResult
from convbench.harness.stage_output import StageOutput
from convbench.harness.truth import Truth
from convbench.io.digests import value_sha256
from convbench.metrics.base import ConversationMetric
from convbench.metrics.protocol import ScoringPart
from convbench.metrics.responses import references_of
from convbench.systems.base import Row, Unit
from convbench.types import Score, Turn, TurnRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A part that cannot be computed here, and why."""

    part: ScoringPart
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Parts that can be computed here, and those that cannot."""

    ready: list[ScoringPart]
    unavailable: list[Unavailable]


def check_parts(parts: Sequence[ScoringPart]) -> Checked:
    """Sorts parts into those whose resources are there and those whose are not; asked before any inference."""
    ready: list[ScoringPart] = []
    unavailable: list[Unavailable] = []
    for part in parts:
        try:
            part.metric.check_resources()
            part.metric.measures()  # refuses settings that do not fit the model
            ready.append(part)
        except ResourceError as error:
            if str(error) not in {known.reason for known in unavailable}:
                log.warning("%s will not be computed: %s", part.metric.name, error)
            unavailable.append(Unavailable(part, str(error)))
    _refuse_twice(ready)
    return Checked(ready, unavailable)


def _refuse_twice(parts: Sequence[ScoringPart]) -> None:
    """A measure is known by its protocol and its name."""
    counts = Counter((part.protocol, measure.name) for part in parts for measure in part.metric.measures())
    for (protocol, name), times in counts.items():
        if times > 1:
            raise UsageError(f"{protocol or 'without a protocol'}: the measure {name!r} stands there {times} times; name it once")


@dataclass(frozen=True, slots=True)
class Scored:
    """What scoring gives: aggregates, and the scores of every turn."""

    results: list[MetricResult]
    scores: list[Score]


def score_run(execution: Execution, records: Mapping[str, TurnRecord], parts: Sequence[ScoringPart], run_sha256: str) -> Scored:
    """Scores ``records`` with every part; a side that no record of the run has (a TREC run's responses) is not computed.

    Raises:
        InvariantError: A number cannot be right.
    """
    scored = Scored([], [])
    truth = Truth(execution.plan.dataset)
    for part in parts:
        if reason := _impossible(execution, part, records):
            scored.results.append(not_computed(Unavailable(part, reason)))
            continue
        scoring = _Scoring(execution, part, records, truth)
        try:
            scores = scoring.scores(run_sha256)
        except ResourceError as error:  # a judge's server that fails does not keep the others' scores from being written
            log.warning("%s was not computed: %s; run the same command again to go on", part.metric.name, error)
            scored.results.append(not_computed(Unavailable(part, str(error))))
            continue
        scored.scores.extend(scores)
        scored.results.extend(scoring.results(scores))
    return scored


class _Scoring:
    """One part on one run."""

    def __init__(self, execution: Execution, part: ScoringPart, records: Mapping[str, TurnRecord], truth: Truth) -> None:
        self._execution, self._part, self._records = execution, part, records
        self._placed = PlacedPart.of(part, execution.plan.dataset, truth)

    def scores(self, run_sha256: str) -> list[Score]:
        """The scores of every turn; those that are there already are not computed again."""
        plan, part, metric, turns = self._execution.plan, self._part, self._part.metric, self._placed.turns
        signatures = [measure.signature for measure in metric.measures()]
        truth = [self._placed.chosen.sha256, self._placed.truth]
        way = ["by reference"] if getattr(metric, "by_reference", False) else []  # has the same signatures, and is not to be taken over
        key = value_sha256(["score", metric.name, metric.version, signatures, *truth, plan.inputs, run_sha256, *way])
        unit: Unit = "conversation" if isinstance(metric, ConversationMetric) else "turn"
        batches = split_batches(turns, metric.batch_size, unit)
        output = StageOutput(plan.folder.stages, part.label, key, [[turn.id for turn in batch] for batch in batches])

        def prepare() -> None:
            if reads_passages(part):
                _open_passages(metric, self._execution.store)
            if hasattr(metric, "prepare"):
                metric.prepare([text for turn in turns for text in references_of(turn, getattr(metric, "against", "response"))])

        def compute(_: int, batch: Sequence[Turn]) -> list[Row]:
            by_turn: dict[str, list[dict[str, Any]]] = {turn.id: [] for turn in batch}
            for score in metric.score(batch, self._records):
                by_turn[score.turn_id].append({"measure": score.measure, "value": score.value, "reason": score.reason})
            return [{"turn_id": turn_id, "scores": values} for turn_id, values in by_turn.items()]

        rows = self._execution.compute(output, batches, prepare, compute)
        scores = [
            Score(turn_id, values["measure"], values["value"], values["reason"], part.protocol)
            for turn_id, row in rows.items()
            for values in row["scores"]
        ]
        return self._placed.counted(scores)

    def results(self, scores: Sequence[Score]) -> list[MetricResult]:
        """The aggregates of the part's measures, in order."""
        return self._placed.results(scores, self._records, self._execution.collection()["sha256"])


def merged(earlier: Scored, later: Scored, asked: Iterable[ScoringPart]) -> Scored:
    """Earlier and later scores of one run: a measure that both have under one protocol is the later one's.

    Args:
        earlier: What was scored before.
        later: What is scored now.
        asked: The parts scored now; under such a family ``earlier`` may say that it could not be computed.
    """
    replaced = {(part.protocol, part.metric.name) for part in asked} | {(result.protocol, result.name) for result in later.results}
    kept = [result for result in earlier.results if (result.protocol, result.name) not in replaced]
    measures = {(result.protocol, result.name) for result in kept}
    scores = [score for score in earlier.scores if (score.protocol, score.measure) in measures]
    return Scored([*kept, *later.results], [*scores, *later.scores])


def not_computed(unavailable: Unavailable) -> MetricResult:
    """The result of a part that could not be computed, under the family's name."""
    part = unavailable.part
    return MetricResult(
        name=part.metric.name,
        protocol=part.protocol,
        side=part.metric.needs,
        signature="",
        value=None,
        n_turns=0,
        n_conversations=0,
        n_missing=0,
        turn_set="",
        reason=unavailable.reason,
    )


def _impossible(execution: Execution, part: ScoringPart, records: Mapping[str, TurnRecord]) -> str | None:
    """Why a part cannot be computed on this run, if it cannot."""
    needs = part.metric.needs
    searched = needs == "ranking" and execution.plan.system.retrieves  # then empty rankings are its answer, and score 0
    if not searched and not any(has_side(record, needs) for record in records.values()):
        return f"the run holds no {needs}s" if needs != "evidence" else "the run names no passages as evidence"
    if reads_passages(part) and execution.store is None:
        return "it compares texts of passages, and the collection is not at hand: give it with --corpus"
    return None


def _open_passages(metric: Any, store: ArrowPassageStore | None) -> None:
    metric.open_passages(store)
