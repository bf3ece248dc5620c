"""Conversational dense retrieval: the encoder reads the session as its own profile writes it.

A dense retriever is given a text, into which the history view and its template have written the history. Here the checkpoint's profile
writes it: order, forms of the roles, separators that are control tokens, closing tokens. ConvDR (Yu et al. 2021), which encodes sessions
into the space of another encoder's passages, and ChatRetriever (Mao et al. 2024) are used this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from convbench.backends.encode import encode_inputs
from convbench.backends.encoder import HFEncoder
from convbench.backends.inputs import unpooled
from convbench.backends.placement import ModelConfig
from convbench.backends.turn_inputs import TurnInputs
from convbench.datasets.store import PassageStore
from convbench.meter import Meter
from convbench.retrieval.base import Found
from convbench.retrieval.passage_index import IndexConfig, PassageIndex
from convbench.views.query import Query

VERSION = 1


class ConversationalConfig(IndexConfig):
    """Dense retrieval with an encoder of sessions."""

    type: Literal["conversational"] = "conversational"
    encoder: ModelConfig


class ConversationalRetriever:
    """Searches a passage index with encoded sessions.

    A session is the query's question and the earlier utterances. Its oldest exchanges are left out where it is too long, and the question
    is never cut. Other texts of a query are not used.

    Args:
        encoder: Encodes sessions and passages.
        index: Keeps and searches the passages' vectors.
    """

    batch_size = 512  # every batch reads the whole index; from some hundred queries on, faiss multiplies matrices

    def __init__(self, encoder: HFEncoder, index: PassageIndex) -> None:
        self._encoder, self._index = encoder, index

    def describe(self) -> dict[str, Any]:
        """The encoder's description, how sessions are written included, and the index's."""
        return {"type": "conversational", "sessions": VERSION, "encoder": self._encoder.describe(), **self._index.describe()}

    def check(self) -> None:
        """The checkpoint's files must be there, and say how it encodes."""
        self._encoder.describe()

    def index(self, store: PassageStore, cache: Path, meter: Meter) -> None:
        """Opens the index under ``cache``, encoding the passages that are missing."""
        self._encoder.load()
        self._index.open(store, self._encoder, cache, meter)
        for name, parameters in self._encoder.parameters.items():
            meter.model(name, parameters)

    @cached_property
    def _inputs(self) -> TurnInputs:
        return TurnInputs(self._encoder.queries, None)

    def search(self, queries: Sequence[Query], k: int, meter: Meter) -> list[Found]:
        """The k nearest passages of each session.

        Raises:
            UsageError: A question alone is too long for the model.
        """
        loaded, size = self._encoder.queries, self._encoder.config.batch_tokens
        with meter.phase("encode", turns=len(queries)):
            sessions = [self._inputs.written(query.turn_id, query.question, query.earlier) for query in queries]
            distinct = list(dict.fromkeys(session.ids for session in sessions))
            rows = {ids: row for row, ids in enumerate(distinct)}
            vectors = encode_inputs(loaded, distinct, meter, batch_tokens=size, skip=unpooled(loaded, loaded.profile.query_prefix))
        chosen = vectors[[rows[session.ids] for session in sessions]]
        rankings = self._index.search([query.turn_id for query in queries], chosen, k, meter)
        return [Found(ranking, len(session.ids), session.cut) for ranking, session in zip(rankings, sessions, strict=True)]
