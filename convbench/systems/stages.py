"""The stages that two-stage systems are made of, and how their rows become a record."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import starmap
from typing import Any

from convbench.generation.base import GenerationInput, Generator
from convbench.retrieval.base import Found, Retriever
from convbench.rewriting.base import QueryRewriter, Rewrite, RewriteInput
from convbench.systems.base import Row, Unit, Upstream, Workplace
from convbench.types import Passage, Response, Turn, TurnRecord
from convbench.views.evidence import EvidenceCondition, EvidenceView
from convbench.views.history import history_view, utterances
from convbench.views.query import Query
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
    version = 2
    unit: Unit = "turn"

    def __init__(self, rewriter: QueryRewriter, session: SessionTemplate) -> None:
        self._rewriter, self._session = rewriter, session
        self.batch_size = rewriter.batch_size

    def describe(self) -> dict[str, Any]:
        """The rewriter, and how question and history are written."""
        return {"rewriter": self._rewriter.describe(), "session": self._session.model_dump()}

    def check(self, turns: Sequence[Turn]) -> None:
        """Passes the check on to the rewriter."""
        self._rewriter.check(turns)

    def open(self, workplace: Workplace) -> None:
        """Loads the rewriter's model."""
        self._meter = workplace.meter
        self._rewriter.open(workplace.cache, workplace.meter)

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``question`` (rewritten), ``query`` (as one text) and, where a rewriter made them, ``texts``, ``combine``, ``forms``.

        A rewriter that reads the history has taken from it what the retriever needs: what it writes is searched with as it stands
        (``alone``). After any other the utterances that the history view shows are written into the query.
        """
        inputs = [RewriteInput(turn, _earlier(upstream, turn)) for turn in turns]
        return [self._row(item, rewrite) for item, rewrite in zip(inputs, self._rewriter.rewrite(inputs, self._meter), strict=True)]

    def _row(self, item: RewriteInput, rewrite: Rewrite) -> Row:
        alone = self._rewriter.reads_history
        written = rewrite.texts or (rewrite.question,)
        texts = list(written) if alone else [self._session.write(text, item.earlier) for text in written]
        row: Row = {"turn_id": item.turn.id, "question": rewrite.question, "query": " ".join(texts)}
        if alone:
            row["alone"] = True
        if len(texts) > 1:
            row |= {"texts": texts, "combine": rewrite.combine}
        if rewrite.forms:
            row["forms"] = {name: list(form) for name, form in rewrite.forms.items()}
        if rewrite.usage:
            row["usage"] = dict(rewrite.usage)
        return row if rewrite.failure is None else {**row, "failure": rewrite.failure}


def _earlier(upstream: Upstream, turn: Turn) -> tuple[Utterance, ...]:
    """The earlier utterances that the history view shows."""
    return tuple(starmap(Utterance, upstream["view"][turn.id]["utterances"]))


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
        """Passes the check on to the retriever."""
        self._retriever.check()

    def open(self, workplace: Workplace) -> None:
        """Opens or builds the index."""
        self._meter = workplace.meter
        self._retriever.index(workplace.store, workplace.cache, workplace.meter)

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``passages`` as (id, score) in canonical order; ``usage`` and the tokens of the query that were ``cut``."""
        queries = [query_of(turn, upstream) for turn in turns]
        return [found_row(found) for found in self._retriever.search(queries, self._k, self._meter)]


def query_of(turn: Turn, upstream: Upstream) -> Query:
    """What the earlier stages made of a turn, for a retriever or a reranker."""
    row = upstream["rewrite"][turn.id]
    return Query(
        turn_id=turn.id,
        texts=tuple(row.get("texts") or (row["query"],)),
        combine=row.get("combine", "mean"),
        forms={name: tuple(texts) for name, texts in row.get("forms", {}).items()},
        question=row["question"],
        asked=turn.query,
        earlier=() if row.get("alone") else _earlier(upstream, turn),
    )


def found_row(found: Found) -> Row:
    """What a search found for one turn, as a row; its pairs of id and score are lists where the row has been read from a file."""
    ranking = found.ranking
    usage = {} if found.tokens is None else {"query_tokens": found.tokens}
    return {"turn_id": ranking.turn_id, "passages": list(ranking.passages), "usage": usage, "cut": found.cut}


class GenerateStage:
    """The response, from the question and the evidence."""

    name = "generate"
    version = 1
    unit: Unit = "turn"

    def __init__(self, generator: Generator, evidence: EvidenceCondition) -> None:
        self._generator, self._evidence = generator, evidence
        self.batch_size = generator.batch_size

    def describe(self) -> dict[str, Any]:
        """The generator and what it sees."""
        return {**self._evidence.describe(), "generator": self._generator.describe()}

    def check(self, turns: Sequence[Turn]) -> None:
        """Passes the check on to the evidence condition and the generator."""
        self._evidence.check(turns)
        self._generator.check()

    def open(self, workplace: Workplace) -> None:
        """Keeps the store to read evidence from; loads the generator's model."""
        self._workplace = workplace
        self._generator.open(workplace.meter)

    def run(self, turns: Sequence[Turn], upstream: Upstream) -> list[Row]:
        """Rows: ``text``, ``finish_reason``, ``evidence``, ``abstained``, ``usage``."""
        views = [self._view(turn, upstream) for turn in turns]
        shown = any(view.kept for view in views)
        passages = self._evidence.passages_of(turns, views, self._workplace.store) if shown else [()] * len(turns)
        inputs = [self._input(turn, each, upstream) for turn, each in zip(turns, passages, strict=True)]
        return [response_row(response) for response in self._generator.generate(inputs, self._workplace.meter)]

    def _view(self, turn: Turn, upstream: Upstream) -> EvidenceView:
        deep = self._evidence.count + len(turn.gold)  # no condition leaves out more of a ranking than its gold passages
        return self._evidence.view(turn, ranked_ids(turn, upstream, deep))

    def _input(self, turn: Turn, passages: tuple[Passage, ...], upstream: Upstream) -> GenerationInput:
        question = upstream["rewrite"][turn.id]["question"]
        return GenerationInput(turn.id, question, passages, turn.query, _earlier(upstream, turn))


class PartlyRead(Mapping[str, Row]):
    """Rows that are not in memory, of which a part can be had for less than the whole."""

    @abstractmethod
    def leading(self, turn_id: str, field: str, count: int) -> Sequence[Any]:
        """The first items of a list of a row."""


def ranked_ids(turn: Turn, upstream: Upstream, depth: int) -> Sequence[str]:
    """The first ``depth`` passages of the turn's ranking, in order: the reranker's, else the retriever's, else none."""
    rows = next((upstream[name] for name in ("rerank", "search") if name in upstream), {})
    if turn.id not in rows:
        return []
    pairs = rows.leading(turn.id, "passages", depth) if isinstance(rows, PartlyRead) else rows[turn.id]["passages"][:depth]
    return [passage_id for passage_id, _ in pairs]


def response_row(response: Response) -> Row:
    """A response as a row."""
    counts = {"tokens_in": response.tokens_in, "tokens_out": response.tokens_out}
    dropped = {"dropped": list(response.dropped)} if response.dropped else {}
    return {
        "turn_id": response.turn_id,
        "text": response.text,
        "finish_reason": response.finish_reason,
        "evidence": list(response.evidence),
        "abstained": response.abstained,
        "usage": {name: count for name, count in counts.items() if count is not None},
        **dropped,
    }


def join_rows(turn_id: str, rows: Mapping[str, Row]) -> TurnRecord:
    """The record of a turn from whichever of the stages' rows there are."""
    view, rewrite, search, rerank, generate = (rows.get(name, {}) for name in ("view", "rewrite", "search", "rerank", "generate"))
    truncated = {"query_tokens": search.get("cut"), "passages_dropped": generate.get("dropped")}
    ledger = {
        "history_kept": view.get("kept", []),
        "history_dropped": view.get("dropped", []),
        "truncated": {name: what for name, what in truncated.items() if what},
    }
    return TurnRecord(
        turn_id=turn_id,
        query=rewrite.get("query", ""),
        passages=tuple(map(tuple, (rerank or search).get("passages", []))),
        response=generate.get("text"),
        evidence=tuple(generate.get("evidence", [])),
        abstained=generate.get("abstained", False),
        usage={name: count for row in (rewrite, search, rerank, generate) for name, count in row.get("usage", {}).items()},
        ledger=ledger if "failure" not in rewrite else {**ledger, "rewrite_failure": rewrite["failure"]},
    )
