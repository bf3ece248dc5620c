"""Reading golden cases, and scoring them with a metric as a protocol has it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convbench.metrics.base import CorpusMetric, Metric
from convbench.metrics.protocol import build_metric, load_protocol
from convbench.types import Reference, Turn, TurnRecord

FOLDER = Path(__file__).parents[1] / "golden"


def cases(name: str) -> list[Any]:
    """The cases of a golden file."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def case_id(case: Any) -> str:
    return str(case["case"])


def metric_of(protocol: str, family: str, **settings: Any) -> Metric:
    """The family as a protocol builds it; what a protocol leaves to the dataset is the lowest grade of 1."""
    (part,) = (part for part in load_protocol(protocol).parts if part.metric == family)
    return build_metric(family, {key: 1 if value == "dataset" else value for key, value in part.settings.items()} | settings)


def by_turn(metric: Metric, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> dict[str, dict[str, float | None]]:
    """Measure -> turn id -> value."""
    found: dict[str, dict[str, float | None]] = {measure.name: {} for measure in metric.measures()}
    for score in metric.score(turns, records):
        found[score.measure][score.turn_id] = score.value
    return found


def means(metric: Metric, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> dict[str, float]:
    """Measure -> its mean over the turns that have a value, or its value over the corpus."""
    values = {name: [v for v in turns_.values() if v is not None] for name, turns_ in by_turn(metric, turns, records).items()}
    corpus = metric.corpus_values(turns, records) if isinstance(metric, CorpusMetric) else {}
    found = {name: sum(column) / len(column) for name, column in values.items() if column}
    return found | {name: value.value for name, value in corpus.items() if value.value is not None}


def answered(turn_id: str, references: Sequence[str], **rest: Any) -> Turn:
    """A turn with reference responses."""
    kinds = ["response", *["additional"] * (len(references) - 1)] if references else []
    return Turn(turn_id, "what?", references=tuple(Reference(t, k) for t, k in zip(references, kinds, strict=True)), **rest)  # type: ignore[arg-type]
