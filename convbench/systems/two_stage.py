"""The two-stage system: history view, rewriter, retriever, generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from convbench.backends.encoder import HFEncoder
from convbench.config import build_config
from convbench.errors import UsageError
from convbench.generation.extractive import ExtractiveConfig, ExtractiveGenerator
from convbench.retrieval.base import Retriever
from convbench.retrieval.bm25 import BM25Config, BM25Retriever
from convbench.retrieval.dense import DenseConfig, DenseRetriever
from convbench.retrieval.passage_index import PassageIndex
from convbench.rewriting.base import HumanRewriter, NoRewriter
from convbench.systems.base import Row, Settings, Stage
from convbench.systems.rankings import AnswersFromRankings, GivenRankings, RankingsStage
from convbench.systems.stages import GenerateStage, RewriteStage, SearchStage, ViewStage, join_rows
from convbench.systems.turn_order import InTurnOrder, unpacked
from convbench.types import TurnRecord
from convbench.views.evidence import EvidenceCondition, EvidenceName, check_evidence_view
from convbench.views.history import OWN, REWRITE, check_history_view
from convbench.views.session import SessionTemplate

RetrieverConfig = Annotated[BM25Config | DenseConfig, Field(discriminator="type")]

_BM25_DEFAULTS = {"k1": 0.9, "b": 0.4}


class HistoryConfig(SessionTemplate):
    """Which earlier turns the retriever sees, and how they are written."""

    view: str = "query"

    @property
    def session(self) -> SessionTemplate:
        """How they are written."""
        return SessionTemplate(**self.model_dump(exclude={"view"}))


class TwoStageConfig(AnswersFromRankings):
    """``kind: two-stage``."""

    kind: Literal["two-stage"]
    history: HistoryConfig = HistoryConfig()
    rewriter: Literal["none", "human"] = "none"
    retriever: RetrieverConfig
    k: int = Field(default=100, ge=1)
    evidence: EvidenceName = "retrieved"
    generator: ExtractiveConfig | None = ExtractiveConfig()

    overrides: ClassVar[frozenset[str]] = frozenset({"history", "evidence", "rankings"})

    @property
    def responds(self) -> bool:
        """Whether it has a generator."""
        return self.generator is not None

    def with_conditions(self, *, history: str | None, evidence: str | None) -> TwoStageConfig:
        """Another history view or evidence view; ``rewrite`` is the human rewrite alone, all other views are without a rewriter."""
        values = self.model_dump()
        if history == REWRITE:
            values |= {"rewriter": "human", "history": {**values["history"], "view": "query"}}
        elif history is not None:
            values |= {"rewriter": "none", "history": {**values["history"], "view": check_history_view(history)}}
        if evidence is not None and not self.responds:
            raise UsageError(f"{self.name}: --evidence is what a responder sees, and it does not respond")
        if evidence is not None:
            values["evidence"] = check_evidence_view(evidence)
        return build_config(TwoStageConfig, values, self.name)

    def build(self, settings: Settings) -> TwoStage:
        """The system; the dataset's usual BM25 parameters fill those left out."""
        if check_history_view(self.history.view) == OWN:
            self._check_own_responses()
        return TwoStage(self, settings)

    def _check_own_responses(self) -> None:
        if self.generator is None:
            raise UsageError(f"{self.name}: history view {OWN!r} shows the system its own responses: it needs a generator; or take 'full'")
        if self.rewriter == "human":
            raise UsageError(f"{self.name}: human rewrites go with the dataset's responses, not with history view {OWN!r}: take 'full'")


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
            RewriteStage(rewriter, config.history.session),
            self._search(settings),
        ]
        if config.generator is not None:
            evidence = EvidenceCondition(config.evidence, config.generator.passages)
            stages.append(GenerateStage(ExtractiveGenerator(config.generator), evidence))
        return [InTurnOrder(stages)] if config.history.view == OWN else stages

    def _search(self, settings: Settings) -> Stage:
        config = self._config
        if config.rankings is not None:
            return RankingsStage(GivenRankings(config.rankings.run), config.k)
        return SearchStage(_retriever(config.retriever, settings), config.k)

    def stages(self) -> Sequence[Stage]:
        """View, rewrite, search and, with a generator, generate; one stage of them all where the history has the system's own responses."""
        return self._stages

    def conditions(self) -> dict[str, Any]:
        """History, rewriter, evidence, depth; whose rankings, where they are not its own."""
        config = self._config
        conditions = {"history": config.history.model_dump(), "rewriter": config.rewriter, "evidence": config.evidence, "k": config.k}
        return conditions if config.rankings is None else {**conditions, "rankings": config.rankings.system}

    def record(self, turn_id: str, rows: Mapping[str, Row]) -> TurnRecord:
        """Joins the stages' rows."""
        return join_rows(turn_id, unpacked(rows))


def _retriever(config: BM25Config | DenseConfig, settings: Settings) -> Retriever:
    if isinstance(config, DenseConfig):
        return DenseRetriever(HFEncoder(config.encoder, offline=settings.offline), PassageIndex(config))
    usual = {**_BM25_DEFAULTS, **settings.card.bm25}
    chosen = {name: getattr(config, name) if getattr(config, name) is not None else usual[name] for name in _BM25_DEFAULTS}
    return BM25Retriever(config.model_copy(update=chosen))
