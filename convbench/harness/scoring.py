"""Scoring a run: every metric is a resumable stage of its own, so a new metric never needs new inference."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.datasets.loading import Dataset
from convbench.errors import ResourceError
from convbench.harness.execute import Execution
from convbench.harness.plan import split_batches
from convbench.harness.results import MetricResult, aggregate
from convbench.harness.stage_output import StageOutput
from convbench.io.atomic import atomic_text
from convbench.io.digests import value_sha256
from convbench.io.jsonl import dump_line, read_jsonl
from convbench.io.records import Record
from convbench.metrics.base import GradedMetric, Measure, Metric, Side, response_references
from convbench.systems.base import Row
from convbench.types import Score, Turn, TurnRecord, TurnSet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A metric that cannot be computed here, and why."""

    metric: Metric
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Metrics that can be computed here, and those that cannot."""

    ready: list[Metric]
    unavailable: list[Unavailable]


def check_metrics(metrics: Sequence[Metric]) -> Checked:
    """Sorts metrics into those whose resources are there and those whose are not; asked before any inference."""
    ready: list[Metric] = []
    unavailable: list[Unavailable] = []
    for metric in metrics:
        try:
            metric.check_resources()
            metric.measures()  # refuses settings that do not fit the model
            ready.append(metric)
        except ResourceError as error:
            log.warning("%s will not be computed: %s", metric.name, error)
            unavailable.append(Unavailable(metric, str(error)))
    return Checked(ready, unavailable)


@dataclass(frozen=True, slots=True)
class Scored:
    """What scoring gives: aggregates, and the scores of every turn."""

    results: list[MetricResult]
    scores: list[Score]


def fitted(metric: Metric, dataset: Dataset) -> Metric:
    """The metric as the dataset's literature uses it on this split."""
    return metric.from_grade(dataset.card.splits[dataset.split].relevant_from) if isinstance(metric, GradedMetric) else metric


def score_run(execution: Execution, records: Mapping[str, TurnRecord], metrics: Sequence[Metric], run_sha256: str) -> Scored:
    """Scores ``records`` with every metric; a side that no record of the run has (a TREC run's responses) is not computed."""
    plan = execution.plan
    collection = (execution.collection()["sha256"] or "unchecked")[:12]
    scored = Scored([], [])
    for metric in (fitted(metric, plan.dataset) for metric in metrics):
        searched = metric.needs == "ranking" and plan.system.needs_passages  # then empty rankings are its answer, and score 0
        if not searched and not any(_has_side(record, metric.needs) for record in records.values()):
            scored.results.append(not_computed(Unavailable(metric, f"the run holds no {metric.needs}s")))
            continue
        turn_set = turn_set_for(plan.dataset, metric)
        turns = _turns_of(plan.dataset, turn_set)
        scores = _metric_scores(execution, metric, turns, turn_set, run_sha256, records)
        scored.scores.extend(scores)
        for measure in metric.measures():
            own = [score for score in scores if score.measure == measure.name]
            signature = full_signature(measure, metric, turn_set, collection)
            better = measure.higher_is_better
            scored.results.append(aggregate(measure.name, signature, own, side=metric.needs, rule=turn_set.rule, higher_is_better=better))
    return scored


def merged(earlier: Scored, later: Scored, asked: Iterable[str]) -> Scored:
    """Earlier and later scores of one run: a measure that both have is the later one's.

    Args:
        earlier: What was scored before.
        later: What is scored now.
        asked: The metric families scored now; under such a name ``earlier`` may say that the family could not be computed.
    """
    replaced = {*asked, *(result.name for result in later.results)}
    kept = [result for result in earlier.results if result.name not in replaced]
    measures = {result.name for result in kept}
    return Scored([*kept, *later.results], [*(score for score in earlier.scores if score.measure in measures), *later.scores])


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Writes ``scores.jsonl`` atomically: a line a turn and measure, metric by metric."""
    with atomic_text(path) as handle:
        for score in scores:
            handle.write(dump_line(_score_json(score)))


def read_scores(path: Path) -> list[Score]:
    """Reads ``scores.jsonl``."""
    scores = []
    for line, value in read_jsonl(path):
        record = Record(path, value, line=line)
        number = value.get("value")
        if number is not None and not isinstance(number, int | float):
            raise record.error(f"field 'value': expected a number or null, found {number!r:.40}")
        scores.append(Score(record.get("turn_id", str), record.get("measure", str), number, record.optional("reason", str, "") or None))
    return scores


def _has_side(record: TurnRecord, side: Side) -> bool:
    return bool(record.passages) if side == "ranking" else record.response is not None


def not_computed(unavailable: Unavailable) -> MetricResult:
    """The result of a metric that could not be computed, under the family's name."""
    metric = unavailable.metric
    return MetricResult(
        name=metric.name,
        side=metric.needs,
        signature="",
        value=None,
        n_turns=0,
        n_conversations=0,
        n_missing=0,
        turn_set="",
        reason=unavailable.reason,
    )


def turn_set_for(dataset: Dataset, metric: Metric) -> TurnSet:
    """Retrieval measures average over the judged turns, response measures over the turns with a reference."""
    return dataset.retrieval_turns() if metric.needs == "ranking" else dataset.response_turns()


def full_signature(measure: Measure, metric: Metric, turn_set: TurnSet, collection: str) -> str:
    """The measure's signature with the turn set and, for rankings, the collection that the numbers hold for."""
    place = f"|collection:{collection}" if metric.needs == "ranking" else ""
    return f"{measure.signature}|turns:{turn_set.sha256[:12]}{place}"


def _turns_of(dataset: Dataset, turn_set: TurnSet) -> list[Turn]:
    wanted = set(turn_set.ids)
    return [turn for turn in dataset.turns if turn.id in wanted]


def _metric_scores(
    execution: Execution,
    metric: Metric,
    turns: Sequence[Turn],
    turn_set: TurnSet,
    run_sha256: str,
    records: Mapping[str, TurnRecord],
) -> list[Score]:
    plan = execution.plan
    signatures = [measure.signature for measure in metric.measures()]
    truth = value_sha256([[turn.id, dict(turn.gold), response_references(turn)] for turn in turns])
    key = value_sha256(["score", metric.name, metric.version, signatures, turn_set.sha256, truth, run_sha256])
    batches = split_batches(turns, metric.batch_size)
    output = StageOutput(plan.folder.stages, f"score-{metric.name}", key, [[turn.id for turn in batch] for batch in batches])

    def prepare() -> None:
        if hasattr(metric, "prepare"):
            metric.prepare([text for turn in turns for text in response_references(turn)])

    def compute(_: int, batch: Sequence[Turn]) -> list[Row]:
        by_turn: dict[str, list[dict[str, Any]]] = {turn.id: [] for turn in batch}
        for score in metric.score(batch, records):
            by_turn[score.turn_id].append({"measure": score.measure, "value": score.value, "reason": score.reason})
        return [{"turn_id": turn_id, "scores": values} for turn_id, values in by_turn.items()]

    rows = execution.compute(output, batches, prepare, compute)
    return [Score(row["turn_id"], **values) for row in rows for values in row["scores"]]


def _score_json(score: Score) -> dict[str, Any]:
    line: dict[str, Any] = {"turn_id": score.turn_id, "measure": score.measure, "value": score.value}
    return line | {"reason": score.reason} if score.reason else line
