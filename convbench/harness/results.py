"""``results.json``: typed, versioned, with a published JSON Schema (``docs/schemas/results.schema.json``).

All but ``cost``, and ``check``, the digest of all, is the same for every execution of the same run. Costs are measured, so that another
execution gives other seconds, but they are measured once: what is finished keeps its costs, and the same command again writes the same
bytes. Dates are in ``run.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from convbench.analysis.bootstrap import RESAMPLES
from convbench.config import Config, build_config
from convbench.errors import DataError, MissingFileError, UsageError
from convbench.io.atomic import write_text
from convbench.io.digests import file_sha256
from convbench.io.jsonl import read_json
from convbench.io.sealed import SEAL, BrokenSealError, sealed, unsealed
from convbench.metrics.base import Side, measure_key
from convbench.systems.competing import shown_by

DAMAGED = "if it was damaged, run the same `convbench run` command again: it is made anew from what is finished"


NOT_SCORED = "is not the file that was scored; run the same `convbench run` command again: it is written anew from what is finished"


class MetricResult(Config):
    """One measure over its turn set; ``value`` is null where ``reason`` says why it was not computed."""

    name: str
    protocol: str = Field(default="", description="the named protocol; empty for a family that stands in none")
    side: Side = Field(description="what is scored: rankings, responses, or the evidence that responses name")
    signature: str
    value: float | None
    ci: tuple[float, float] | None = Field(default=None, description="95 % interval, conversations resampled")
    n_turns: int
    n_conversations: int
    n_missing: int
    turn_set: str = Field(description="the rule that chose the turns")
    aggregate: Literal["mean", "corpus"] = Field(default="mean", description="mean of the turns' values, or one over all turns")
    higher_is_better: bool = True
    scale: Literal["unit", "any"] = Field(default="unit", description="unit: every value lies in [0, 1]")
    ranks: bool = Field(default=True, description="whether systems may be ordered by it")
    reason: str | None = None

    @property
    def key(self) -> str:
        """``protocol/name``."""
        return measure_key(self.protocol, self.name)

    def stands_for(self, protocol: str, name: str) -> bool:
        """Whether this is a family that could not be computed (``bertscore``) and the measure is one of it (``bertscore-f1``)."""
        return not self.signature and protocol == self.protocol and (name == self.name or name.startswith(f"{self.name}-"))


class PoolResult(Config):
    """What the pool that was searched was taken from. Its own digest and size stand where any collection's do."""

    full_sha256: str = Field(description="digest of the full collection")
    full_passages: int = Field(description="passages of the full collection")
    gold_sha256: str = Field(description="digest of the judgements that the pool was made for")
    systems: list[str] = Field(description="systems whose first passages are in the pool")
    depth: int = Field(description="how many of each turn")


class DatasetResult(Config):
    """What was evaluated on."""

    name: str
    split: str
    options: dict[str, str]
    tier: Literal["mini", "corpus", "gold-union", "pooled", "unchecked"] = Field(
        description="bundled set; corpus file as given; union of the gold passages (an easier task); pool of the gold passages and the "
        "first of some systems (easier too, above all for other systems); or passages not at hand to check ids"
    )
    pool: PoolResult | None = Field(default=None, description="what a pool was taken from; null where the tier is another")
    collection_sha256: str | None
    passages: int | None
    turnset_sha256: str
    n_conversations: int
    n_turns: int
    n_judged: int
    licence: str


class PhaseCost(Config):
    """What one phase of a run cost; a phase's seconds exclude those of the phases within it."""

    name: str = Field(
        description="open (models and indexes are loaded), index (an index is built), recall (an approximate index is measured), "
        "agreement (an approximate encoder is compared with the exact one), encode, search, generate ..."
    )
    once: bool = Field(description="whether it is apart from answering turns: open, index, recall, agreement")
    seconds: float
    turns: int = Field(description="turns that it worked on")
    ms_per_turn: float | None = Field(description="milliseconds over all turns of the run; null for what is apart from them")
    tokens_in: int
    tokens_out: int
    forward_passes: int


class ServerCost(Config):
    """What models behind a server were asked, and what that was worth."""

    requests: int = Field(description="requests that a server answered")
    cached_requests: int = Field(description="requests whose answer was kept from before, and cost nothing")
    price: float = Field(description="tokens of those requests times the system's prices, in their currency; 0 without prices")


class IndexRecall(Config):
    """How much of what exact search finds an approximate index finds."""

    found: int
    of: int
    value: float


class EncoderAgreement(Config):
    """How far an approximate encoder's vectors agree with the exact one's, on texts of the run."""

    texts: int = Field(description="how many were compared")
    min_cosine: float = Field(description="the least cosine of a text's two vectors")
    mean_cosine: float
    rank_correlation: float | None = Field(
        description="Spearman's correlation of a text's two orders of the others by inner product, mean over texts; null for fewer than 3"
    )


class Machine(Config):
    """What the seconds were measured on."""

    device: str | None = Field(default=None, description="what models computed on: cpu, mps or the name of the GPU; null without models")
    threads: int = Field(description="of torch where it is loaded, else the processor's")
    processor: str
    platform: str


class Cost(Config):
    """What the run cost. Executions add up; what was inferred twice, because a run was killed, counts once."""

    parameters: int = Field(description="of all models that were loaded, each counted once; passages of an index are not parameters")
    models: dict[str, int] = Field(description="model -> parameters")
    index_bytes: int
    indexes: dict[str, int] = Field(description="index -> bytes")
    turns: int = Field(description="turns of the run, which costs per turn are divided by")
    tokens_in: int = Field(description="sent to models, by all phases but those apart from answering turns")
    tokens_out: int
    forward_passes: int
    phases: list[PhaseCost] = Field(description="in order of first use")
    server: ServerCost | None = Field(default=None, description="of models behind a server; null where none was asked")
    recall: IndexRecall | None = Field(description="of an approximate index against exact search; null where search is exact")
    agreements: dict[str, EncoderAgreement] = Field(default={}, description="approximate encoder -> how far it agrees with the exact one")
    environment: Machine | None = Field(description="of the latest execution that inferred something; null where nothing was measured")


class Truncation(Config):
    """How many turns did not fit a token budget, by the ``ledger`` of each turn."""

    n_turns: int = Field(description="turns whose record says whether anything was cut")
    n_truncated: int
    share: float | None = Field(description="n_truncated / n_turns; null where no record says so (runs of other tools)")
    by: dict[str, int] = Field(description="what was cut (history, passages_dropped, query_tokens ...) -> turns")


class Results(Config):
    """The whole file."""

    schema_version: Literal[1] = 1
    convbench_version: str
    system: dict[str, Any]
    dataset: DatasetResult
    conditions: dict[str, Any]
    seed: int
    run_sha256: str = Field(description="digest of the turns.jsonl that was scored")
    scores_sha256: tuple[str, ...] = Field(
        default=(),
        description="digest of the scores.jsonl beside it; two where a later scoring was not finished; none in older files",
    )
    metrics: list[MetricResult]
    cost: Cost
    truncation: Truncation
    statistics: dict[str, Any] = Field(
        default_factory=lambda: {"interval": "percentile bootstrap over conversations", "resamples": RESAMPLES, "seed": 0}
    )
    packages: dict[str, str]
    warnings: list[str]

    @property
    def reference(self) -> Literal["", "ceiling", "floor", "shortcut"]:
        """What a run only shows that does not compete: ``ceiling`` (gold), ``floor`` (chance), ``shortcut`` (earlier gold); else empty."""
        return shown_by(self.system)


def write_results(path: Path, results: Results) -> None:
    """Writes ``results.json`` atomically, in full precision."""
    write_text(path, results_text(results.model_dump(mode="json")))


def results_text(values: Mapping[str, Any]) -> str:
    """The content of a ``results.json``, with a digest of itself."""
    return json.dumps(sealed(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_results(path: Path) -> Results:
    """Reads ``results.json``.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is no JSON, or was changed after it was written; files of versions that wrote no digest of themselves are believed.
        UsageError: Another schema version, or a key that is missing or unknown.
    """
    try:
        values = read_json(path)
        return build_config(Results, unsealed(values) if isinstance(values, dict) and SEAL in values else values, str(path))
    except BrokenSealError:
        raise DataError(path, f"was changed after it was written; {DAMAGED}") from None
    except (DataError, UsageError) as error:
        error.args = (f"{error}; {DAMAGED}",)
        raise


def refuse_other_scores(path: Path, results: Results) -> None:
    """Raises where ``scores.jsonl`` is not the file that was written with the results; files of older versions are believed.

    Raises:
        MissingFileError: It is not there.
        DataError: It is another one.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no scores of turns here; score the run again with `convbench score {path.parent}`")
    if results.scores_sha256 and file_sha256(path) not in results.scores_sha256:
        raise DataError(path, f"is not what was written with results.json; {DAMAGED}")


def results_schema() -> dict[str, Any]:
    """The JSON Schema of ``results.json``."""
    schema = Results.model_json_schema()
    schema["properties"][SEAL] = {"type": "string", "title": "Check", "description": "digest of all other values; absent in older files"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
