"""The stages that two-stage systems are made of, and how their rows become a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convbench.generation.base import GenerationInput, Generator
from convbench.retrieval.base import Found, Retriever
from convbench.rewriting.base import QueryRewriter
from convbench.systems.base import Row, Unit, Upstream, Workplace
from convbench.types import Response, Turn, TurnRecord
from convbench.views.evidence import EvidenceCondition
from convbench.views.history import history_view, utterances
from convbench.views.session import SessionTemplate, Utterance

_MANY = 4096


class ViewStage:
    """History view: which earlier utterances the rewriter and the retriever see."""

    name = "view"
    version = 2
    batch_size = _MANY
    unit: Unit = "turn"

    def __init__(self, view: str) -> None:
        self._view = view

    def describe(self) -> dict[str, Any]:
        """The view's name."""
        return {"view": self._view}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn has a history view."""

    def open(self, workplace: Workplace) -> None:
        """Nothing to load."""

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``utterances`` as [role, text] (oldest first), ``kept`` and ``dropped`` turn ids."""
        rows = []
        for turn in turns:
            view = history_view(self._view, turn)
            said = [list(utterance) for utterance in utterances(view)]
            rows.append({"turn_id": turn.id, "utterances": said, "kept": list(view.kept), "dropped": list(view.dropped)})
        return rows


class RewriteStage:
    """Rewriting: the question that stands for the user's, and the query sent to the retriever."""

    name = "rewrite"
    version = 1
    unit: Unit = "turn"

    def __init__(self, rewriter: QueryRewriter, session: SessionTemplate, batch_size: int = _MANY) -> None:
        self._rewriter, self._session = rewriter, session
        self.batch_size = batch_size

    def describe(self) -> dict[str, Any]:
        """The rewriter, and how question and history are written."""
        return {"rewriter": self._rewriter.describe(), "session": self._session.model_dump()}

    def check(self, turns: Sequence[Turn]) -> None:
        """Passes the check on to the rewriter."""
        self._rewriter.check(turns)

    def open(self, workplace: Workplace) -> None:
        """Rewriters load themselves on first use."""

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``question`` (rewritten) and ``query`` (the question with the utterances that the history view shows)."""
        rows = []
        for turn, question in zip(turns, self._rewriter.rewrite(turns), strict=True):
            earlier = [Utterance(role, text) for role, text in upstream["view"][turn.id]["utterances"]]
            rows.append({"turn_id": turn.id, "question": question, "query": self._session.write(question, earlier)})
        return rows


class SearchStage:
    """Retrieval of the k best passages."""

    name = "search"
    version = 1
    unit: Unit = "turn"

    def __init__(self, retriever: Retriever, k: int) -> None:
        self._retriever, self._k = retriever, k
        self.batch_size = retriever.batch_size

    def describe(self) -> dict[str, Any]:
        """The retriever and the depth."""
        return {"k": self._k, "retriever": self._retriever.describe()}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every query can be searched."""

    def open(self, workplace: Workplace) -> None:
        """Opens or builds the index."""
        self._meter = workplace.meter
        self._retriever.index(workplace.store, workplace.cache, workplace.meter)

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``passages`` as [id, score] in canonical order; ``usage`` and the tokens of the query that were ``cut``."""
        queries = [(turn.id, upstream["rewrite"][turn.id]["query"]) for turn in turns]
        return [found_row(found) for found in self._retriever.search(queries, self._k, self._meter)]


def found_row(found: Found) -> Row:
    """What a search found for one turn, as a row."""
    ranking = found.ranking
    usage = {} if found.tokens is None else {"query_tokens": found.tokens}
    return {"turn_id": ranking.turn_id, "passages": [list(pair) for pair in ranking.passages], "usage": usage, "cut": found.cut}


class GenerateStage:
    """The response, from the question and the evidence."""

    name = "generate"
    version = 1
    unit: Unit = "turn"

    def __init__(self, generator: Generator, evidence: EvidenceCondition, batch_size: int = 32) -> None:
        self._generator, self._evidence = generator, evidence
        self.batch_size = batch_size

    def describe(self) -> dict[str, Any]:
        """The generator and what it sees."""
        return {**self._evidence.describe(), "generator": self._generator.describe()}

    def check(self, turns: Sequence[Turn]) -> None:
        """Passes the check on to the evidence condition."""
        self._evidence.check(turns)

    def open(self, workplace: Workplace) -> None:
        """Keeps the store to read evidence from."""
        self._store = workplace.store

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``text``, ``finish_reason``, ``evidence``, ``abstained``, ``usage``."""
        inputs = []
        for turn in turns:
            retrieved = [passage_id for passage_id, _ in upstream["search"][turn.id]["passages"]]
            view = self._evidence.view(turn, retrieved)
            question = upstream["rewrite"][turn.id]["question"]
            inputs.append(GenerationInput(turn.id, question, self._evidence.passages(turn, view, self._store)))
        return [response_row(response) for response in self._generator.generate(inputs)]


def response_row(response: Response) -> Row:
    """A response as a row."""
    counts = {"tokens_in": response.tokens_in, "tokens_out": response.tokens_out}
    return {
        "turn_id": response.turn_id,
        "text": response.text,
        "finish_reason": response.finish_reason,
        "evidence": list(response.evidence),
        "abstained": response.abstained,
        "usage": {name: count for name, count in counts.items() if count is not None},
    }


def join_rows(turn_id: str, rows: Mapping[str, Row]) -> TurnRecord:
    """The record of a turn from whichever of the four stages' rows there are."""
    view, rewrite, search, generate = (rows.get(name, {}) for name in ("view", "rewrite", "search", "generate"))
    return TurnRecord(
        turn_id=turn_id,
        query=rewrite.get("query", ""),
        passages=tuple((passage_id, score) for passage_id, score in search.get("passages", [])),
        response=generate.get("text"),
        evidence=tuple(generate.get("evidence", [])),
        abstained=generate.get("abstained", False),
        usage={**search.get("usage", {}), **generate.get("usage", {})},
        ledger={
            "history_kept": view.get("kept", []),
            "history_dropped": view.get("dropped", []),
            "truncated": {"query_tokens": search["cut"]} if search.get("cut") else {},
        },
    )
