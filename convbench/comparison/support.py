"""How much of a response stands in the passages given, in the gold passages, and in the conversation: K-precision and K-recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from convbench.analysis.estimates import estimated_columns
from convbench.comparison.consistency_model import Support
from convbench.comparison.model import Settings
from convbench.comparison.task import Entrant, Task
from convbench.metrics.knowledge import KnowledgeMetric
from convbench.metrics.responses import references_of
from convbench.metrics.signatures import parsed

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOURCES = ("given", "gold", "history")
MEASURES = ("K-precision", "K-recall")
_TURNS = "has a reference"
_NO_TEXTS = "the passages' texts are not at hand: the run was made without its collection (--corpus)"
_NOTHING_GIVEN = "the run does not say that its responder was given passages"


def support_of(task: Task, settings: Settings) -> tuple[Support, ...]:
    """Of every entrant that has responses; turns without a reference are left out, as the protocol ``llm-verbose`` has it."""
    responding = [entrant for entrant in task.entrants if any(record.response is not None for record in entrant.records.values())]
    columns: dict[tuple[str, str, str], NDArray[np.float64]] = {}
    reasons: dict[str, dict[str, str]] = {}
    for entrant in responding:
        reasons[entrant.label] = {source: why for source in SOURCES if (why := _impossible(task, entrant, source))}
        for source in SOURCES:
            if source not in reasons[entrant.label]:
                columns |= {(entrant.label, source, measure): column for measure, column in _columns(task, entrant, source).items()}
    estimates = dict(zip(columns, estimated_columns(list(columns.values()), task.clusters, settings.resampling), strict=True))
    return tuple(
        Support(
            label=entrant.label,
            values={(source, measure): value for (label, source, measure), value in estimates.items() if label == entrant.label},
            reasons=reasons[entrant.label],
        )
        for entrant in responding
    )


def _impossible(task: Task, entrant: Entrant, source: str) -> str | None:
    if source == "given" and not any(record.evidence for record in entrant.records.values()):
        return _NOTHING_GIVEN
    return _NO_TEXTS if source != "history" and task.store is None else None


def _columns(task: Task, entrant: Entrant, source: str) -> dict[str, NDArray[np.float64]]:
    """Measure -> values of turns. What the run was scored with already is not computed again."""
    metric = KnowledgeMetric([f"{measure}({source})" for measure in MEASURES])
    signatures = {measure.name: parsed(measure.signature) for measure in metric.measures()}
    known = {name: scores for name, wanted in signatures.items() if (scores := _scored(entrant, name, wanted)) is not None}
    if len(known) < len(signatures):
        if source != "history" and task.store is not None:
            metric.open_passages(task.store)
        computed: dict[str, dict[str, float | None]] = {}
        for score in metric.score([turn for turn in task.turns if any(references_of(turn))], entrant.records):
            computed.setdefault(score.measure, {})[score.turn_id] = score.value
        known = {**computed, **known}
    found = {}
    for measure in MEASURES:
        values = known.get(f"{measure}({source})", {})
        found[measure] = np.array([values.get(turn.id) for turn in task.turns], dtype=np.float64)
    return found


def _scored(entrant: Entrant, name: str, wanted: Mapping[str, str]) -> Mapping[str, float | None] | None:
    """The run's own scores of the very same measure over the very same turns, if it has them."""
    for result in entrant.run.results.metrics:
        held = parsed(result.signature)
        same = all(held.get(key) == value for key, value in wanted.items()) and held.get("missing") == "zero"
        if result.name == name and same and result.turn_set == _TURNS:
            return entrant.run.scores.get((result.protocol, name))
    return None
