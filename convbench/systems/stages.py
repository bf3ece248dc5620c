"""The stages that two-stage systems are made of, and how their rows become a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convbench.errors import UsageError
from convbench.generation.base import GenerationInput, Generator
from convbench.retrieval.base import Found, Retriever
from convbench.rewriting.base import QueryRewriter
from convbench.systems.base import Row, Upstream, Workplace
from convbench.types import Passage, Turn, TurnRecord
from convbench.views.evidence import EvidenceName, evidence_ids
from convbench.views.history import Order, history_view, utterances, write_query

_MANY = 4096


class ViewStage:
    """History view: which earlier utterances the rewriter and the retriever see."""

    name = "view"
    version = 1
    batch_size = _MANY

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
        """Rows: ``utterances`` (oldest first), ``kept`` and ``dropped`` turn ids."""
        rows = []
        for turn in turns:
            view = history_view(self._view, turn)
            rows.append({"turn_id": turn.id, "utterances": utterances(view), "kept": list(view.kept), "dropped": list(view.dropped)})
        return rows


class RewriteStage:
    """Rewriting: the question that stands for the user's, and the query sent to the retriever."""

    name = "rewrite"
    version = 1

    def __init__(self, rewriter: QueryRewriter, order: Order, batch_size: int = _MANY) -> None:
        self._rewriter, self._order = rewriter, order
        self.batch_size = batch_size

    def describe(self) -> dict[str, Any]:
        """The rewriter, and the order in which question and history are written."""
        return {"rewriter": self._rewriter.describe(), "order": self._order}

    def check(self, turns: Sequence[Turn]) -> None:
        """Passes the check on to the rewriter."""
        self._rewriter.check(turns)

    def open(self, workplace: Workplace) -> None:
        """Rewriters load themselves on first use."""

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``question`` (rewritten) and ``query`` (the question with the utterances that the history view shows)."""
        rows = []
        for turn, question in zip(turns, self._rewriter.rewrite(turns), strict=True):
            query = write_query(question, upstream["view"][turn.id]["utterances"], self._order)
            rows.append({"turn_id": turn.id, "question": question, "query": query})
        return rows


class SearchStage:
    """Retrieval of the k best passages."""

    name = "search"
    version = 1

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

    def __init__(self, generator: Generator, evidence: EvidenceName, passages: int, batch_size: int = 32) -> None:
        self._generator, self._evidence, self._passages = generator, evidence, passages
        self.batch_size = batch_size

    def describe(self) -> dict[str, Any]:
        """The generator and what it sees."""
        return {"evidence": self._evidence, "passages": self._passages, "generator": self._generator.describe()}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn can be answered."""

    def open(self, workplace: Workplace) -> None:
        """Keeps the store to read evidence from."""
        self._store = workplace.store

    def _texts(self, turn: Turn, ids: Sequence[str]) -> tuple[Passage, ...]:
        if self._evidence == "gold" and (absent := [id_ for id_ in ids if id_ not in self._store]):
            raise UsageError(f"turn {turn.id}: gold passage {absent[0]!r} is not in the collection, and --evidence gold needs its text")
        return tuple(self._store.get(ids))

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``text``, ``finish_reason``, ``evidence``, ``abstained``, ``usage``."""
        inputs = []
        for turn in turns:
            retrieved = [passage_id for passage_id, _ in upstream["search"][turn.id]["passages"]]
            ids = evidence_ids(self._evidence, turn, retrieved, self._passages)
            question = upstream["rewrite"][turn.id]["question"]
            inputs.append(GenerationInput(turn.id, question, self._texts(turn, ids)))
        rows = []
        for response in self._generator.generate(inputs):
            counts = {"tokens_in": response.tokens_in, "tokens_out": response.tokens_out}
            rows.append(
                {
                    "turn_id": response.turn_id,
                    "text": response.text,
                    "finish_reason": response.finish_reason,
                    "evidence": list(response.evidence),
                    "abstained": response.abstained,
                    "usage": {name: count for name, count in counts.items() if count is not None},
                }
            )
        return rows


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
