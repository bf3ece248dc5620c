"""Retrievers from their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from convbench.backends.encoder import HFEncoder
from convbench.backends.sparse_encoder import SparseEncoder
from convbench.retrieval.base import Retriever
from convbench.retrieval.bm25 import BM25Config, BM25Retriever
from convbench.retrieval.conversational import ConversationalConfig, ConversationalRetriever
from convbench.retrieval.dense import DenseConfig, DenseRetriever
from convbench.retrieval.fusion import Fused, FusionConfig, FusionRetriever, SingleConfig
from convbench.retrieval.lucene import LuceneConfig, LuceneRetriever
from convbench.retrieval.passage_index import PassageIndex
from convbench.retrieval.sparse import SparseConfig, SparseRetriever

RetrieverConfig = Annotated[
    BM25Config | LuceneConfig | DenseConfig | SparseConfig | ConversationalConfig | FusionConfig, Field(discriminator="type")
]

_BM25_DEFAULTS = {"k1": 0.9, "b": 0.4}


def open_retriever(config: RetrieverConfig, *, usual_bm25: Mapping[str, float], offline: bool) -> Retriever:
    """The retriever; nothing is loaded yet.

    Args:
        config: Its settings.
        usual_bm25: The dataset's usual BM25 parameters, for those left out.
        offline: Refuse the network.
    """
    if not isinstance(config, FusionConfig):
        return _single(config, usual_bm25, offline)
    opened: list[tuple[SingleConfig, Retriever]] = []
    fused = []
    for each in config.retrievers:
        found = next((retriever for other, retriever in opened if other == each.retriever), None)
        if found is None:
            found = _single(each.retriever, usual_bm25, offline)
            opened.append((each.retriever, found))
        fused.append(Fused(found, each.weight, each.form))
    return FusionRetriever(config, fused)


def _single(config: SingleConfig, usual_bm25: Mapping[str, float], offline: bool) -> Retriever:
    if isinstance(config, DenseConfig):
        return DenseRetriever(HFEncoder(config.encoder, offline=offline), PassageIndex(config))
    if isinstance(config, ConversationalConfig):
        return ConversationalRetriever(HFEncoder(config.encoder, offline=offline), PassageIndex(config))
    if isinstance(config, SparseConfig):
        return SparseRetriever(SparseEncoder(config.encoder, offline=offline))
    usual = {**_BM25_DEFAULTS, **usual_bm25}
    chosen = {name: getattr(config, name) if getattr(config, name) is not None else usual[name] for name in _BM25_DEFAULTS}
    resolved = config.model_copy(update=chosen)
    return LuceneRetriever(resolved) if isinstance(resolved, LuceneConfig) else BM25Retriever(resolved)
