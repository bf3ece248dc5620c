"""The two-stage system: history view, rewriter, retriever, generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from convbench.backends.encoder import HFEncoder
from convbench.config import Config, build_config
from convbench.generation.extractive import ExtractiveConfig, ExtractiveGenerator
from convbench.retrieval.base import Retriever
from convbench.retrieval.bm25 import BM25Config, BM25Retriever
from convbench.retrieval.dense import DenseConfig, DenseRetriever
from convbench.rewriting.base import HumanRewriter, NoRewriter
from convbench.systems.base import Row, Settings, Stage, SystemConfig
from convbench.systems.stages import GenerateStage, RewriteStage, SearchStage, ViewStage, join_rows
from convbench.types import TurnRecord
from convbench.views.evidence import EvidenceName
from convbench.views.history import Order, check_history_view

RetrieverConfig = Annotated[BM25Config | DenseConfig, Field(discriminator="type")]

_BM25_DEFAULTS = {"k1": 0.9, "b": 0.4}


class HistoryConfig(Config):
    """Which earlier turns the retriever sees, and in which order they are written."""

    view: str = "query"
    order: Order = "newest-first"


class TwoStageConfig(SystemConfig):
    """``kind: two-stage``."""

    kind: Literal["two-stage"]
    history: HistoryConfig = HistoryConfig()
    rewriter: Literal["none", "human"] = "none"
    retriever: RetrieverConfig
    k: int = Field(default=100, ge=1)
    evidence: EvidenceName = "retrieved"
    generator: ExtractiveConfig | None = ExtractiveConfig()

    overrides: ClassVar[frozenset[str]] = frozenset({"history", "evidence"})

    def with_conditions(self, *, history: str | None, evidence: str | None) -> TwoStageConfig:
        """Another history view or evidence view; ``rewrite`` is the human rewrite alone, all other views are without a rewriter."""
        values = self.model_dump()
        if history == "rewrite":
            values |= {"rewriter": "human", "history": {**values["history"], "view": "query"}}
        elif history is not None:
            values |= {"rewriter": "none", "history": {**values["history"], "view": check_history_view(history)}}
        if evidence is not None:
            values["evidence"] = evidence
        return build_config(TwoStageConfig, values, self.name)

    def build(self, settings: Settings) -> TwoStage:
        """The system; the dataset's usual BM25 parameters fill those left out."""
        check_history_view(self.history.view)
        return TwoStage(self, settings)


class TwoStage:
    """Runs a ``TwoStageConfig``."""

    needs_passages = True

    def __init__(self, config: TwoStageConfig, settings: Settings) -> None:
        self.name = config.name
        self._config = config
        self._stages = self._build(settings)

    def _build(self, settings: Settings) -> list[Stage]:
        config = self._config
        rewriter = HumanRewriter() if config.rewriter == "human" else NoRewriter()
        stages: list[Stage] = [
            ViewStage(config.history.view),
            RewriteStage(rewriter, config.history.order),
            SearchStage(_retriever(config.retriever, settings), config.k),
        ]
        if config.generator is not None:
            stages.append(GenerateStage(ExtractiveGenerator(config.generator), config.evidence, config.generator.passages))
        return stages

    def stages(self) -> Sequence[Stage]:
        """View, rewrite, search and, with a generator, generate."""
        return self._stages

    def conditions(self) -> dict[str, Any]:
        """History, rewriter, evidence, depth."""
        config = self._config
        return {"history": config.history.model_dump(), "rewriter": config.rewriter, "evidence": config.evidence, "k": config.k}

    def record(self, turn_id: str, rows: Mapping[str, Row]) -> TurnRecord:
        """Joins the stages' rows."""
        return join_rows(turn_id, rows)


def _retriever(config: BM25Config | DenseConfig, settings: Settings) -> Retriever:
    if isinstance(config, DenseConfig):
        return DenseRetriever(HFEncoder(config.encoder, offline=settings.offline))
    usual = {**_BM25_DEFAULTS, **settings.card.bm25}
    chosen = {name: getattr(config, name) if getattr(config, name) is not None else usual[name] for name in _BM25_DEFAULTS}
    return BM25Retriever(config.model_copy(update=chosen))
