"""The stage of the unified system: a conversation is read once, for its retrieval, its responses and its next turns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from convbench.backends.sessions import EncodedSession, stacked
from convbench.backends.trunk import EMPTY, Trunk
from convbench.backends.turn_inputs import Session
from convbench.retrieval.passage_index import PassageIndex
from convbench.rewriting.base import HumanRewriter
from convbench.systems.base import Row, Unit, Upstream, Workplace
from convbench.systems.one_model import OneModel
from convbench.systems.rankings import GivenRankings
from convbench.types import Ranking, Turn
from convbench.views.evidence import EvidenceCondition
from convbench.views.history import REWRITE
from convbench.views.prompt import FittedEvidence, truncation
from convbench.writing.writer import Prompt, Written


class ConverseStage:
    """Encodes sessions, searches, responds.

    Args:
        model: The one model.
        index: Its passages; or the rankings of a run, which it answers from without searching.
        evidence: Which of them it sees when it responds.
        history: The history view.
        k: Depth of the ranking.
        batch_size: Conversations worked on together.
    """

    name = "respond"
    version = 1
    unit: Unit = "conversation"

    def __init__(
        self,
        model: OneModel,
        index: PassageIndex | GivenRankings,
        evidence: EvidenceCondition,
        *,
        history: str,
        k: int,
        batch_size: int,
    ) -> None:
        self._model, self._index, self._evidence = model, index, evidence
        self._history, self._k, self.batch_size = history, k, batch_size
        self._read: dict[str, Trunk] = {}

    def describe(self) -> dict[str, Any]:
        """The model, the index and the conditions."""
        conditions = {"history": self._history, "k": self._k, **self._evidence.describe()}
        return {**conditions, "index": self._index.describe(), "model": self._model.describe()}

    def check(self, turns: Sequence[Turn]) -> None:
        """Passes the check on to model, evidence condition and rankings; the view ``rewrite`` needs a rewrite of every turn."""
        self._model.check()
        self._evidence.check(turns)
        if isinstance(self._index, GivenRankings):
            self._index.check(turns)
        if self._history == REWRITE:
            HumanRewriter().check(turns)

    def open(self, workplace: Workplace) -> None:
        """Loads the model and opens its index."""
        self._store, self._meter = workplace.store, workplace.meter
        encoder = self._model.encoder
        for label, parameters in encoder.parameters.items():
            self._meter.model(label, parameters)
        encoder.load()
        self._index.open(self._store, encoder, workplace.cache, self._meter)

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``query``, ``passages``, ``text``, ``finish_reason``, ``evidence``, ``usage``, ``ledger``."""
        sessions = [self._model.inputs.session(turn, self._history) for turn in turns]
        with self._meter.phase("encode", turns=len(turns)):
            encoded = self._encode(sessions)
        with self._meter.phase("search", turns=len(turns)):
            rankings = self._index.search([turn.id for turn in turns], stacked(encoded), self._k, self._meter)
        if not self._model.responds:
            return [_row(session, ranking) for session, ranking in zip(sessions, rankings, strict=True)]
        with self._meter.phase("generate", turns=len(turns)):
            return self._respond(sessions, encoded, rankings)

    def _encode(self, sessions: Sequence[Session]) -> list[EncodedSession]:
        """Encodes conversation by conversation, going on from what the last call read of it."""
        conversations = [list(group) for _, group in groupby(sessions, key=lambda session: session.turn.conversation_id)]
        ids = [conversation[0].turn.conversation_id for conversation in conversations]
        known = [self._read.get(id_, EMPTY) for id_ in ids]
        encoded = self._model.encode_sessions(conversations, known, self._meter)
        self._read = {id_: latest[-1].trunk for id_, latest in zip(ids, encoded, strict=True)}
        return [session for latest in encoded for session in latest]

    def _respond(self, sessions: Sequence[Session], encoded: Sequence[EncodedSession], rankings: Sequence[Ranking]) -> list[Row]:
        prompts, tails = [], []
        for session, read, ranking in zip(sessions, encoded, rankings, strict=True):
            view = self._evidence.view(session.turn, [passage_id for passage_id, _ in ranking.passages])
            tokens, tail = self._model.inputs.prompt(session, self._evidence.passages(session.turn, view, self._store))
            prompts.append(Prompt(session.turn.id, tokens, read.trunk))
            tails.append(tail)
        written = self._model.respond(prompts, self._meter)
        answered = zip(sessions, rankings, prompts, tails, written, strict=True)
        return [_row(session, ranking, prompt, tail, answer) for session, ranking, prompt, tail, answer in answered]


def _row(
    session: Session,
    ranking: Ranking,
    prompt: Prompt | None = None,
    tail: FittedEvidence | None = None,
    answer: Written | None = None,
) -> Row:
    usage = {"query_tokens": len(session.ids)}
    ledger: dict[str, Any] = {"history_kept": list(session.fitted.kept), "history_dropped": list(session.hidden)}
    if prompt is not None and answer is not None:
        usage |= {"tokens_in": len(prompt.tokens), "tokens_reused": prompt.reused, "tokens_out": answer.tokens}
        ledger["finish_reason"] = answer.finish_reason
    return {
        "turn_id": session.turn.id,
        "query": session.fitted.text,
        "passages": [list(pair) for pair in ranking.passages],
        "text": answer.text if answer else None,
        "evidence": list(tail.passages) if tail else [],
        "usage": usage,
        "ledger": {**ledger, "truncated": truncation(session.fitted, tail)},
    }
