"""``results.json``: typed, versioned, with a published JSON Schema (``docs/schemas/results.schema.json``).

It holds only what is the same for every execution of the same run; times and dates are in ``run.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from convbench.analysis.bootstrap import RESAMPLES, clustered_interval
from convbench.config import Config, build_config
from convbench.io.atomic import write_text
from convbench.io.jsonl import read_json
from convbench.metrics.base import MISSING, Side
from convbench.types import Score, conversation_of


class MetricResult(Config):
    """One measure over its turn set; ``value`` is null where ``reason`` says why it was not computed."""

    name: str
    side: Side = Field(description="what is scored: rankings or responses")
    signature: str
    value: float | None
    ci: tuple[float, float] | None = Field(default=None, description="95 % interval, conversations resampled")
    n_turns: int
    n_conversations: int
    n_missing: int
    turn_set: str = Field(description="the rule that chose the turns")
    higher_is_better: bool = True
    reason: str | None = None


class DatasetResult(Config):
    """What was evaluated on."""

    name: str
    split: str
    options: dict[str, str]
    tier: Literal["mini", "corpus", "gold-union", "unchecked"] = Field(
        description="bundled set; corpus file as given; union of the gold passages (an easier task); or passages not at hand to check ids"
    )
    collection_sha256: str | None
    passages: int | None
    turnset_sha256: str
    n_conversations: int
    n_turns: int
    n_judged: int
    licence: str


class Results(Config):
    """The whole file."""

    schema_version: Literal[1] = 1
    convbench_version: str
    system: dict[str, Any]
    dataset: DatasetResult
    conditions: dict[str, Any]
    seed: int
    run_sha256: str = Field(description="digest of the turns.jsonl that was scored")
    metrics: list[MetricResult]
    statistics: dict[str, Any] = Field(
        default_factory=lambda: {"interval": "percentile bootstrap over conversations", "resamples": RESAMPLES, "seed": 0}
    )
    packages: dict[str, str]
    warnings: list[str]


def aggregate(name: str, signature: str, scores: Sequence[Score], *, side: Side, rule: str, higher_is_better: bool) -> MetricResult:
    """The mean of a measure over its turn set, turn-weighted; turns whose score is None are left out and said so."""
    valued = [score for score in scores if score.value is not None]
    values = [score.value for score in valued if score.value is not None]
    clusters = [conversation_of(score.turn_id) for score in valued]
    left_out = len(scores) - len(valued)
    reason = f"{left_out} turns without a value: {next(s.reason for s in scores if s.value is None)}" if left_out else None
    return MetricResult(
        name=name,
        side=side,
        signature=signature,
        value=sum(values) / len(values) if values else None,
        ci=clustered_interval(values, clusters) if values else None,
        n_turns=len(values),
        n_conversations=len(set(clusters)),
        n_missing=sum(score.reason == MISSING for score in scores),
        turn_set=rule,
        higher_is_better=higher_is_better,
        reason=reason if values else reason or "the turn set is empty",
    )


def write_results(path: Path, results: Results) -> None:
    """Writes ``results.json`` atomically, in full precision."""
    write_text(path, json.dumps(results.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_results(path: Path) -> Results:
    """Reads ``results.json``; another schema version or a changed file is an error that names the key."""
    return build_config(Results, read_json(path), str(path))


def results_schema() -> dict[str, Any]:
    """The JSON Schema of ``results.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Results.model_json_schema()}
