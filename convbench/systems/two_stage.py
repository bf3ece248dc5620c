"""The two-stage system: history view, rewriter, retriever, generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from convbench.config import build_config
from convbench.errors import UsageError
from convbench.generation.extractive import ExtractiveConfig
from convbench.generation.first_sentence import FirstSentenceConfig
from convbench.generation.open import GeneratorConfig, open_generator
from convbench.registry import did_you_mean
from convbench.retrieval.fusion import FusionConfig
from convbench.retrieval.open import RetrieverConfig, open_retriever
from convbench.retrieval.rerank import RerankConfig, open_reranker
from convbench.rewriting.open import RewriterConfig, open_rewriter
from convbench.rewriting.several import SeveralConfig
from convbench.systems.base import Row, Settings, Stage
from convbench.systems.rankings import AnswersFromRankings, GivenRankings, RankingsStage
from convbench.systems.rerank_stage import RerankStage
from convbench.systems.rewriter_name import rewriter_name, rewrites_by_hand
from convbench.systems.shortcut import NoRetrieverConfig, PreviousGoldConfig, PreviousGoldStage
from convbench.systems.stages import GenerateStage, RewriteStage, SearchStage, ViewStage, join_rows
from convbench.systems.turn_order import InTurnOrder, unpacked
from convbench.types import TurnRecord
from convbench.views.evidence import EvidenceCondition, EvidenceName, check_evidence_view
from convbench.views.history import OWN, REWRITE, check_history_view
from convbench.views.session import SessionTemplate

SearchConfig = Annotated[RetrieverConfig | PreviousGoldConfig | NoRetrieverConfig, Field(discriminator="type")]
"""A retriever, a shortcut in its place, or ``type: none``."""


class HistoryConfig(SessionTemplate):
    """Which earlier turns the system sees, and how they are written into the query of a retriever."""

    view: str = "query"

    @property
    def session(self) -> SessionTemplate:
        """How they are written."""
        return SessionTemplate(**self.model_dump(exclude={"view"}))


class TwoStageConfig(AnswersFromRankings):
    """``kind: two-stage``.

    Attributes:
        history: Which earlier turns the system sees: a rewriter that is a model reads them, after any other they are written into the
            query, and a generator may show them to its model.
        rewriter: What makes a self-contained question.
        retriever: What finds passages.
        reranker: What orders the best of them anew; None: nothing does.
        k: Depth of the ranking.
        evidence: Which passages the generator sees.
        generator: What responds; None: nothing does.
    """

    kind: Literal["two-stage"]
    history: HistoryConfig = HistoryConfig()
    rewriter: RewriterConfig = "none"
    retriever: SearchConfig
    reranker: RerankConfig | None = None
    k: int = Field(default=100, ge=1)
    evidence: EvidenceName = "retrieved"
    generator: GeneratorConfig | None = ExtractiveConfig()

    overrides: ClassVar[frozenset[str]] = frozenset({"history", "evidence", "rankings"})
    added_later: ClassVar[frozenset[str]] = frozenset({"rankings", "reranker"})

    @property
    def responds(self) -> bool:
        """Whether it has a generator."""
        return self.generator is not None

    def with_conditions(self, *, history: str | None, evidence: str | None) -> TwoStageConfig:
        """Another history view or evidence view.

        ``rewrite`` is the human rewrite alone. Any other view is what a rewriter that is a model reads, and takes the place of the human
        rewrite.
        """
        values = self.model_dump()
        if history is not None:
            by_model = not isinstance(self.rewriter, str) and history != REWRITE
            values["rewriter"] = values["rewriter"] if by_model else "human" if history == REWRITE else "none"
            values["history"] |= {"view": "query" if history == REWRITE else check_history_view(history)}
        if evidence is not None and not self.responds:
            raise UsageError(f"{self.name}: --evidence is what a responder sees, and it does not respond")
        if evidence is not None:
            values["evidence"] = check_evidence_view(evidence)
        return build_config(TwoStageConfig, values, self.name)

    def build(self, settings: Settings) -> TwoStage:
        """The system; the dataset's usual BM25 parameters fill those left out."""
        if check_history_view(self.history.view) == OWN:
            self._check_own_responses()
        if self.history.view == "query" and not isinstance(self.rewriter, str):
            raise UsageError(
                f"{self.name}: history view 'query' shows its rewriter nothing to rewrite with: take another history.view, such as 'full'"
            )
        return TwoStage(self, settings)

    @model_validator(mode="after")
    def _forms_are_made_and_used(self) -> TwoStageConfig:
        retriever, rewriter = self.retriever, self.rewriter
        asked = [each.form for each in retriever.retrievers if each.form is not None] if isinstance(retriever, FusionConfig) else []
        made = list(rewriter.rewriters) if isinstance(rewriter, SeveralConfig) else []
        if unknown := [name for name in asked if name not in made]:
            known = ", ".join(made) or "none"
            raise ValueError(f"retriever: the rewriter makes no form {unknown[0]!r}.{did_you_mean(unknown[0], made)} Known: {known}")
        if unused := [name for name in made if name not in asked]:
            raise ValueError(f"rewriter: no retriever searches with the form {unused[0]!r}; name it as form in a fusion, or leave it out")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> TwoStageConfig:
        if isinstance(self.retriever, NoRetrieverConfig) and self.generator is None:
            raise ValueError("retriever: none and generator: none leave nothing to run; give one of them")
        reads_only = isinstance(self.generator, ExtractiveConfig | FirstSentenceConfig)
        if isinstance(self.retriever, NoRetrieverConfig) and self.evidence in ("none", "retrieved") and reads_only:
            raise ValueError("generator: without a retriever there is nothing that it could take a sentence from; take another evidence")
        if self.reranker is not None and isinstance(self.retriever, NoRetrieverConfig | PreviousGoldConfig):
            raise ValueError(f"reranker: 'retriever: {self.retriever.type}' has no passages that it could order; leave it out")
        return self

    def _check_own_responses(self) -> None:
        if self.generator is None:
            raise UsageError(f"{self.name}: history view {OWN!r} shows the system its own responses: it needs a generator; or take 'full'")
        if rewrites_by_hand(self.rewriter):
            raise UsageError(f"{self.name}: human rewrites go with the dataset's responses, not with history view {OWN!r}: take 'full'")


class TwoStage:
    """Runs a ``TwoStageConfig``."""

    def __init__(self, config: TwoStageConfig, settings: Settings) -> None:
        self.name = config.name
        self.retrieves = config.rankings is not None or not isinstance(config.retriever, NoRetrieverConfig)
        self.needs_passages = self.retrieves or config.evidence not in ("none", "retrieved")
        self._config = config
        self._stages = self._build(settings)

    def _build(self, settings: Settings) -> list[Stage]:
        config = self._config
        rewriter = open_rewriter(config.rewriter, offline=settings.offline, seed=settings.seed)
        stages: list[Stage] = [ViewStage(config.history.view), RewriteStage(rewriter, config.history.session), *self._search(settings)]
        if config.generator is not None:
            evidence = EvidenceCondition(config.evidence, config.generator.passages)
            generator = open_generator(config.generator, offline=settings.offline, seed=settings.seed)
            stages.append(GenerateStage(generator, evidence))
        return [InTurnOrder(stages)] if config.history.view == OWN else stages

    def _search(self, settings: Settings) -> list[Stage]:
        config = self._config
        if config.rankings is not None:
            return [RankingsStage(GivenRankings(config.rankings.run), config.k)]
        if isinstance(config.retriever, NoRetrieverConfig):
            return []
        if isinstance(config.retriever, PreviousGoldConfig):
            return [PreviousGoldStage(config.k)]
        retriever = open_retriever(config.retriever, usual_bm25=settings.card.bm25, offline=settings.offline)
        if config.reranker is None:
            return [SearchStage(retriever, config.k)]
        reranker = open_reranker(config.reranker, offline=settings.offline)
        return [SearchStage(retriever, max(config.k, config.reranker.depth)), RerankStage(reranker, config.k)]

    def stages(self) -> Sequence[Stage]:
        """View, rewrite, search, rerank, generate, as far as there are such components.

        They are one stage where the history has the system's own responses.
        """
        return self._stages

    def conditions(self) -> dict[str, Any]:
        """History, rewriter, evidence, depth; whose rankings, where they are not its own."""
        config = self._config
        rewriter = rewriter_name(config.rewriter)
        conditions: dict[str, Any] = {"history": config.history.model_dump(), "rewriter": rewriter}
        searched = {"evidence": config.evidence, "k": config.k}
        # Without a retriever nothing is retrieved that could be shown, and no depth says anything.
        conditions |= searched if self.retrieves else {"evidence": config.evidence if self.needs_passages else None, "k": None}
        return conditions if config.rankings is None else {**conditions, "rankings": config.rankings.system}

    def record(self, turn_id: str, rows: Mapping[str, Row]) -> TurnRecord:
        """Joins the stages' rows."""
        return join_rows(turn_id, unpacked(rows))
