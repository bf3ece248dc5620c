"""BM25: words and index are those of bm25s, ties are canonical."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from convbench.config import Config
from convbench.datasets.store import PassageStore
from convbench.io.digests import value_sha256
from convbench.meter import Meter
from convbench.retrieval.base import Found
from convbench.retrieval.bm25_build import build_bm25, parts_of
from convbench.retrieval.bm25_index import BM25Index
from convbench.retrieval.bm25_vocabulary import Vocabulary, knowing
from convbench.retrieval.canonical import canonical
from convbench.retrieval.index_folder import IndexFolder
from convbench.types import Ranking
from convbench.views.passages import PASSAGE_VIEW
from convbench.views.query import Query
from convbench.views.words import Analyzer, AnalyzerConfig

VERSION = 1

LAYOUT = 2
"""Of the files on disk; a ranking does not depend on it."""


class BM25Config(Config):
    """BM25 settings; ``k1`` and ``b`` left out mean the dataset's usual values (its card), else Pyserini's 0.9 and 0.4."""

    type: Literal["bm25"] = "bm25"
    k1: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    b: float | None = Field(default=None, ge=0, le=1)
    method: Literal["lucene", "robertson", "atire", "bm25l", "bm25+"] = "lucene"
    analyzer: AnalyzerConfig = AnalyzerConfig()


class BM25Retriever:
    """Lexical retrieval over titles and texts."""

    batch_size = 64

    def __init__(self, config: BM25Config) -> None:
        if config.k1 is None or config.b is None:
            raise ValueError("k1 and b must be resolved before a retriever is built")
        self.config = config
        self._k1, self._b = config.k1, config.b
        self._analyzer = Analyzer(config.analyzer)

    def describe(self) -> dict[str, Any]:
        """Parameters, analyser and versions."""
        settings = self.config.model_dump(exclude={"analyzer"})
        return {**settings, "version": VERSION, "passages": PASSAGE_VIEW, "analyzer": self._analyzer.describe()}

    def check(self) -> None:
        """Nothing can be missing."""

    def index(self, store: PassageStore, cache: Path, meter: Meter) -> None:
        """Opens the index, memory-mapped; builds it on first use, and again where a file is not what was written.

        Raises:
            UsageError: No passage holds a word.
            StorageError: The index cannot be written; the same call goes on where it stopped.
        """
        import bm25s

        key = [LAYOUT, store.sha256, self.describe()]
        folder = IndexFolder(cache / "bm25" / value_sha256(key)[:32], cache)
        settings = bm25s.BM25(k1=self._k1, b=self._b, method=self.config.method)
        build_bm25(folder, store, self._analyzer.tokenizer(), settings, meter)
        meter.index("bm25", sum((folder.path / part.name).stat().st_size for part in parts_of(settings)))
        self._store = store
        self._tokenizer = knowing(self._analyzer.tokenizer(), Vocabulary(folder.path))
        self._index = BM25Index(folder.path)

    def search(self, queries: Sequence[Query], k: int, meter: Meter) -> list[Found]:
        """The k best passages with a word of the query; a query of stop words only finds nothing.

        Several texts are joined: BM25 adds up over words, so that their ranking is that of the texts' mean score.
        """
        texts = [query.text for query in queries]
        words = self._tokenizer.tokenize(texts, update_vocab=False, allow_empty=False, show_progress=False)
        return [Found(self._search(query.turn_id, ids, k)) for query, ids in zip(queries, words, strict=True)]

    def _search(self, turn_id: str, words: list[int], k: int) -> Ranking:
        rows, scores = self._index.best(words, k)
        return canonical(turn_id, zip(self._store.ids(rows), scores.tolist(), strict=True), depth=k)
