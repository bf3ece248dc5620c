"""Fusion: several retrievers search, and their rankings become one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from convbench.config import Config
from convbench.datasets.store import PassageStore
from convbench.meter import Meter
from convbench.retrieval.base import Found, Retriever
from convbench.retrieval.bm25 import BM25Config
from convbench.retrieval.canonical import canonical
from convbench.retrieval.conversational import ConversationalConfig
from convbench.retrieval.dense import DenseConfig
from convbench.retrieval.fused_scores import Normalize, reciprocal_ranks, weighted_sums
from convbench.retrieval.lucene import LuceneConfig
from convbench.retrieval.sparse import SparseConfig
from convbench.types import Ranking
from convbench.views.query import Query

VERSION = 1

SingleConfig = Annotated[BM25Config | LuceneConfig | DenseConfig | SparseConfig | ConversationalConfig, Field(discriminator="type")]
"""A retriever that is none of several; fusions are not fused again, as weights say the same."""


class FusedConfig(Config):
    """One of the retrievers.

    Attributes:
        retriever: Its settings.
        weight: What its ranking counts.
        form: Which form of the query it searches with, by the rewriter's name for it; None: the query itself.
    """

    retriever: SingleConfig
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    form: str | None = None

    @model_validator(mode="after")
    def _sessions_have_no_forms(self) -> FusedConfig:
        if self.form is not None and isinstance(self.retriever, ConversationalConfig):
            raise ValueError("a conversational retriever writes its query itself and has no form; leave form out")
        return self


class FusionConfig(Config):
    """Several retrievers and how their rankings are fused.

    Attributes:
        method: ``rrf`` (reciprocal ranks) or ``weighted`` (sums of scores).
        rrf_k: Added to every rank, for ``rrf``.
        normalize: How scores are made comparable, for ``weighted``.
        depth: Passages that each retriever is asked for; as many as are wanted at least.
        retrievers: The retrievers; equal ones, which differ in form or weight alone, are loaded once.
    """

    type: Literal["fusion"] = "fusion"
    method: Literal["rrf", "weighted"] = "rrf"
    rrf_k: int = Field(default=60, ge=0)
    normalize: Normalize = "min-max"
    depth: int = Field(default=1000, ge=1)
    retrievers: tuple[FusedConfig, ...] = Field(min_length=2)


@dataclass(frozen=True, slots=True)
class Fused:
    """A retriever of a fusion, its weight and the form of the query it is asked with."""

    retriever: Retriever
    weight: float = 1.0
    form: str | None = None


class FusionRetriever:
    """Searches with several retrievers and fuses their rankings.

    Args:
        config: How.
        fused: The retrievers, as ``config`` lists them.
    """

    def __init__(self, config: FusionConfig, fused: Sequence[Fused]) -> None:
        self._config, self._fused = config, fused
        self.batch_size = max(each.retriever.batch_size for each in fused)

    def describe(self) -> dict[str, Any]:
        """The method's settings, and each retriever's description, weight and form."""
        described = [{"retriever": each.retriever.describe(), "weight": each.weight, "form": each.form} for each in self._fused]
        names = {"rrf": "rrf_k", "weighted": "normalize"}
        method = self._config.model_dump(include={"method", "depth", names[self._config.method]})
        return {"type": "fusion", "version": VERSION, **method, "retrievers": described}

    def check(self) -> None:
        """Passes the check on to every retriever."""
        for _, retriever in self._distinct():
            retriever.check()

    def index(self, store: PassageStore, cache: Path, meter: Meter) -> None:
        """Opens every retriever's index; the meter gets their sizes apart."""
        for number, retriever in self._distinct():
            retriever.index(store, cache, _Numbered(meter, number))

    def search(self, queries: Sequence[Query], k: int, meter: Meter) -> list[Found]:
        """The k passages of the largest fused score.

        Raises:
            UsageError: The rewriter makes no form of a name that a retriever asks for.
        """
        depth = max(k, self._config.depth)
        found = [each.retriever.search(list(_asked(queries, each.form)), depth, meter) for each in self._fused]
        return [self._fuse(query.turn_id, each, k) for query, *each in zip(queries, *found, strict=True)]

    def _fuse(self, turn_id: str, found: Sequence[Found], k: int) -> Found:
        scores = self._scores([each.ranking for each in found])
        tokens = [each.tokens for each in found if each.tokens is not None]
        ranking = canonical(turn_id, scores.items(), depth=k)
        return Found(ranking, sum(tokens) if tokens else None, sum(each.cut for each in found))

    def _scores(self, rankings: Sequence[Ranking]) -> dict[str, float]:
        weights = [each.weight for each in self._fused]
        if self._config.method == "rrf":
            return reciprocal_ranks(rankings, weights, self._config.rrf_k)
        return weighted_sums(rankings, weights, self._config.normalize)

    def _distinct(self) -> Iterator[tuple[int, Retriever]]:
        """Every retriever once, numbered from 1."""
        return enumerate({id(each.retriever): each.retriever for each in self._fused}.values(), 1)


def _asked(queries: Sequence[Query], form: str | None) -> Iterator[Query]:
    return (query if form is None else query.form(form) for query in queries)


class _Numbered(Meter):
    """Another meter, which gets the names of indexes with a number: two dense retrievers have two indexes."""

    def __init__(self, meter: Meter, number: int) -> None:
        super().__init__()
        self._meter, self._number = meter, number

    @contextmanager
    def phase(self, name: str, *, turns: int = 0) -> Iterator[None]:
        with self._meter.phase(name, turns=turns):
            yield

    def count(self, **counts: int) -> None:
        self._meter.count(**counts)

    def model(self, name: str, parameters: int) -> None:
        self._meter.model(name, parameters)

    def index(self, name: str, size: int) -> None:
        self._meter.index(f"{self._number} {name}", size)
