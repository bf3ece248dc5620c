"""Scoring a run: every metric of a protocol is a resumable stage of its own, so a new metric never needs new inference."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convbench.datasets.store import ArrowPassageStore
from convbench.errors import ResourceError, UsageError
from convbench.harness.aggregates import Aggregated, aggregate
from convbench.harness.execute import Execution
from convbench.harness.plan import split_batches
from convbench.harness.results import MetricResult
from convbench.harness.stage_output import StageOutput
from convbench.harness.truth import Truth
from convbench.io.digests import value_sha256
from convbench.metrics.base import MISSING, ConversationMetric, CorpusMetric, Measure, PassageMetric, Side
from convbench.metrics.protocol import ScoringPart
from convbench.metrics.responses import references_of
from convbench.metrics.turn_rules import turn_set
from convbench.systems.base import Row, Unit
from convbench.types import Score, Turn, TurnRecord

log = logging.getLogger(__name__)

SKIPPED = "missing from the run and left out, as the protocol has it"


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
        self._chosen = turn_set(part.turns, execution.plan.dataset)
        wanted = set(self._chosen.ids)
        self._turns = [turn for turn in execution.plan.dataset.turns if turn.id in wanted]
        self._data, self._truth = truth.data, truth.sha256(part.metric, self._turns)

    def scores(self, run_sha256: str) -> list[Score]:
        """The scores of every turn; those that are there already are not computed again."""
        plan, part, metric, turns = self._execution.plan, self._part, self._part.metric, self._turns
        signatures = [measure.signature for measure in metric.measures()]
        key = value_sha256(["score", metric.name, metric.version, signatures, self._chosen.sha256, self._truth, plan.inputs, run_sha256])
        unit: Unit = "conversation" if isinstance(metric, ConversationMetric) else "turn"
        batches = split_batches(turns, metric.batch_size, unit)
        output = StageOutput(plan.folder.stages, part.label, key, [[turn.id for turn in batch] for batch in batches])

        def prepare() -> None:
            if _reads_passages(part):
                _open_passages(metric, self._execution.store)
            if hasattr(metric, "prepare"):
                metric.prepare([text for turn in turns for text in references_of(turn, getattr(metric, "against", "response"))])

        def compute(_: int, batch: Sequence[Turn]) -> list[Row]:
            by_turn: dict[str, list[dict[str, Any]]] = {turn.id: [] for turn in batch}
            for score in metric.score(batch, self._records):
                by_turn[score.turn_id].append({"measure": score.measure, "value": score.value, "reason": score.reason})
            return [{"turn_id": turn_id, "scores": values} for turn_id, values in by_turn.items()]

        rows = self._execution.compute(output, batches, prepare, compute)
        scores = [Score(row["turn_id"], **values, protocol=part.protocol) for row in rows for values in row["scores"]]
        return scores if part.missing == "zero" else [_skipped(score) for score in scores]

    def results(self, scores: Sequence[Score]) -> list[MetricResult]:
        """The aggregates of the part's measures, in order."""
        by_measure: dict[str, list[Score]] = {}
        for score in scores:
            by_measure.setdefault(score.measure, []).append(score)
        metric, skipped = self._part.metric, {score.turn_id for score in scores if score.reason == SKIPPED}
        counted = [turn for turn in self._turns if turn.id not in skipped]
        corpus = metric.corpus_values(counted, self._records) if isinstance(metric, CorpusMetric) else {}
        return [
            self._result(measure, aggregate(measure, by_measure.get(measure.name, []), self._turns, corpus.get(measure.name)))
            for measure in metric.measures()
        ]

    def _result(self, measure: Measure, values: Aggregated) -> MetricResult:
        side = self._part.metric.needs
        return MetricResult(
            name=measure.name,
            protocol=self._part.protocol,
            side=side,
            signature=self._signature(measure),
            value=values.value,
            ci=values.interval,
            aggregate=values.kind,
            n_turns=values.n_turns,
            n_conversations=values.n_conversations,
            n_missing=sum(is_missing(self._records.get(turn.id), side) for turn in self._turns),
            turn_set=self._chosen.rule,
            higher_is_better=measure.higher_is_better,
            ranks=measure.ranks,
            scale=measure.scale,
            reason=values.reason,
        )

    def _signature(self, measure: Measure) -> str:
        """The measure's signature with everything around it: protocol, missing policy, data, turn set, truth, and the collection."""
        part = self._part
        name, _, rest = measure.signature.partition("|")
        parts = [name, f"protocol:{part.protocol or 'none'}", *([rest] if rest else []), f"missing:{part.missing}"]
        parts += [f"data:{self._data}", f"turns:{self._chosen.sha256[:12]}", f"truth:{self._truth[:12]}"]
        if part.metric.needs == "ranking" or _reads_passages(part):
            parts.append(f"collection:{(self._execution.collection()['sha256'] or 'unchecked')[:12]}")
        return "|".join(parts)


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
    if not searched and not any(_has_side(record, needs) for record in records.values()):
        return f"the run holds no {needs}s" if needs != "evidence" else "the run names no passages as evidence"
    if _reads_passages(part) and execution.store is None:
        return "it compares texts of passages, and the collection is not at hand: give it with --corpus"
    return None


def _reads_passages(part: ScoringPart) -> bool:
    return isinstance(part.metric, PassageMetric) and part.metric.reads_passages


def _has_side(record: TurnRecord, side: Side) -> bool:
    if side == "response":
        return record.response is not None
    return bool(record.passages if side == "ranking" else record.evidence)


def is_missing(record: TurnRecord | None, side: Side) -> bool:
    """Whether a run lacks a turn: no record at all, or no response where one is scored. An empty ranking is an answer."""
    return record is None or (side == "response" and record.response is None)


def _open_passages(metric: Any, store: ArrowPassageStore | None) -> None:
    metric.open_passages(store)


def _skipped(score: Score) -> Score:
    return replace(score, value=None, reason=SKIPPED) if score.reason == MISSING else score
