"""The unified system: one decoder that encodes sessions and passages and writes the responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from convbench.backends.placement import ModelConfig
from convbench.config import build_config
from convbench.errors import UsageError
from convbench.retrieval.passage_index import IndexConfig, PassageIndex
from convbench.systems.base import Row, Settings, Stage
from convbench.systems.converse import ConverseStage
from convbench.systems.one_model import OneModel
from convbench.systems.rankings import AnswersFromRankings, GivenRankings
from convbench.systems.turn_order import InTurnOrder, unpacked
from convbench.types import TurnRecord
from convbench.views.evidence import EvidenceCondition, EvidenceName, check_evidence_view
from convbench.views.history import OWN, REWRITE, check_history_view
from convbench.writing.decoding import DecodingConfig


class UnifiedConfig(AnswersFromRankings):
    """``kind: unified``.

    Attributes:
        model: The checkpoint and how to run it.
        history: History view that the session is written from; ``rewrite`` is the human rewrite alone.
        evidence: Which passages the responder sees.
        passages: How many of them.
        k: Depth of the ranking.
        index: How passages are stored and searched.
        decoding: How responses are decoded; None: it retrieves and does not respond.
        reuse: Whether what was read of a conversation is gone on from, where its tokens allow it; False reads everything again.
        conversations: Worked on together.
    """

    kind: Literal["unified"]
    model: ModelConfig
    history: str = "full"
    evidence: EvidenceName = "retrieved"
    passages: int = Field(default=3, ge=1)
    k: int = Field(default=100, ge=1)
    index: IndexConfig = IndexConfig()
    decoding: DecodingConfig | None = DecodingConfig()
    reuse: bool = True
    conversations: int = Field(default=8, ge=1)

    overrides: ClassVar[frozenset[str]] = frozenset({"history", "evidence", "rankings"})

    @property
    def responds(self) -> bool:
        """Whether it is to respond."""
        return self.decoding is not None

    def with_conditions(self, *, history: str | None, evidence: str | None) -> UnifiedConfig:
        """Another history view or evidence view."""
        values = self.model_dump()
        if history is not None:
            values["history"] = history
        if evidence is not None and self.decoding is None:
            raise UsageError(f"{self.name}: --evidence is what a responder sees, and it does not respond")
        if evidence is not None:
            values["evidence"] = check_evidence_view(evidence)
        return build_config(UnifiedConfig, values, self.name)

    def build(self, settings: Settings) -> Unified:
        """The system, nothing loaded yet."""
        if self.history != REWRITE:
            check_history_view(self.history)
        if not self.model.model:
            raise UsageError(f"{self.name}: it has no weights of its own: give yours with --set model.model=CHECKPOINT (folder or hub id)")
        if self.history == OWN and self.decoding is None:
            raise UsageError(f"{self.name}: history view {OWN!r} shows the system its own responses, and it writes none: take 'full'")
        return Unified(self, OneModel(self.model, self.decoding, reuse=self.reuse, offline=settings.offline, seed=settings.seed))


class Unified:
    """Runs a ``UnifiedConfig``.

    Attributes:
        config: The configuration.
        model: The one model.
    """

    needs_passages = True
    retrieves = True

    def __init__(self, config: UnifiedConfig, model: OneModel) -> None:
        self.name = config.name
        self.config, self.model = config, model

    @cached_property
    def _stages(self) -> list[Stage]:
        config = self.config
        evidence = EvidenceCondition(config.evidence, config.passages)
        index = PassageIndex(config.index) if config.rankings is None else GivenRankings(config.rankings.run)
        stage = ConverseStage(self.model, index, evidence, history=config.history, k=config.k, batch_size=config.conversations)
        return [InTurnOrder([stage])] if config.history == OWN else [stage]

    def stages(self) -> Sequence[Stage]:
        """One stage: what is read of a conversation serves its retrieval, its response and its next turn."""
        return self._stages

    def conditions(self) -> dict[str, Any]:
        """History, depth and, where it responds, evidence and decoding; whose rankings, where they are not its own."""
        config = self.config
        conditions: dict[str, Any] = {"history": {"view": config.history}, "k": config.k}
        if config.rankings is not None:
            conditions["rankings"] = config.rankings.system
        if config.decoding is None:
            return conditions
        decoding = config.decoding.model_dump(exclude={"batch_rows"})
        return {**conditions, "evidence": config.evidence, "passages": config.passages, "decoding": decoding}

    def record(self, turn_id: str, rows: Mapping[str, Row]) -> TurnRecord:
        """The stage's row as a line of the run file."""
        row = unpacked(rows)[ConverseStage.name]
        return TurnRecord(
            turn_id=turn_id,
            query=row["query"],
            passages=tuple((passage_id, score) for passage_id, score in row["passages"]),
            response=row["text"],
            evidence=tuple(row["evidence"]),
            usage=row["usage"],
            ledger=row["ledger"],
        )
