"""BM25 in Lucene, for collections where bm25s does not fit: the index stays on disk, and building takes the memory it is given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from convbench.config import Config
from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.io.digests import value_sha256
from convbench.meter import Meter
from convbench.retrieval.base import Found
from convbench.retrieval.canonical import canonical
from convbench.retrieval.index_folder import alone
from convbench.retrieval.lucene_build import build_lucene
from convbench.retrieval.lucene_engine import find_engine, find_jar
from convbench.retrieval.lucene_folder import LuceneFolder
from convbench.retrieval.lucene_index import LuceneIndex
from convbench.retrieval.lucene_java import Java
from convbench.retrieval.lucene_words import LuceneAnalyzer, LuceneWords
from convbench.types import Ranking
from convbench.views.passages import PASSAGE_VIEW
from convbench.views.query import Query

VERSION = 1
_MEGABYTE = 1 << 20


class LuceneConfig(Config):
    """Settings of BM25 in Lucene.

    Attributes:
        k1: Left out, as for ``bm25``: the dataset's usual value, else 0.9.
        b: Likewise, else 0.4.
        analyzer: ``english`` or ``standard`` of Lucene's, or the settings of ``bm25``.
        memory: Megabytes that Java's objects may take; files of the index are memory-mapped and do not count.
        threads: Queries searched at a time; None: one for each core. Neither changes a ranking.
    """

    type: Literal["lucene"] = "lucene"
    k1: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    b: float | None = Field(default=None, ge=0, le=1)
    analyzer: LuceneAnalyzer = "english"
    memory: int = Field(default=1024, ge=128)
    threads: int | None = Field(default=None, ge=1)


class LuceneRetriever:
    """Lexical retrieval over titles and texts in Lucene."""

    batch_size = 64

    def __init__(self, config: LuceneConfig) -> None:
        if config.k1 is None or config.b is None:
            raise ValueError("k1 and b must be resolved before a retriever is built")
        self.config = config
        self._k1, self._b = config.k1, config.b
        self._words = LuceneWords(config.analyzer)

    def describe(self) -> dict[str, Any]:
        """Parameters, analyser, and the release of Anserini, which fixes that of Lucene.

        Raises:
            ResourceError: Lucene is not installed.
        """
        return {"type": "lucene", "version": VERSION, "k1": self._k1, "b": self._b, **self._indexed()}

    def check(self) -> None:
        """Lucene and a Java must be there, and the machine have the memory that Java may take.

        Raises:
            ResourceError: One of them cannot be had.
            UsageError: The machine has less memory.
        """
        find_engine()
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MEGABYTE
        if self.config.memory > there:  # Java would end the process without a word of ours
            raise UsageError(f"lucene: retriever.memory is {self.config.memory} MB, and this machine has {there} MB: set less")

    def index(self, store: PassageStore, cache: Path, meter: Meter) -> None:
        """Opens the index, building it on first use and where it is damaged; k1 and b need no other.

        Raises:
            StorageError: The index cannot be written; the same call goes on at the last commit.
        """
        self.check()
        folder = LuceneFolder(cache / "lucene" / value_sha256([VERSION, store.sha256, self._indexed()])[:32], cache)
        self._java = Java(find_engine(), self.config.memory)
        if not folder.finished(len(store)):
            with alone(folder.path):
                if not folder.finished(len(store)):  # another process may have built it meanwhile
                    with meter.phase("index"):
                        build_lucene(folder, store, self._words, self._java)
        meter.index("lucene", folder.bytes_on_disk)
        self._store = store
        self._index = LuceneIndex(folder, self._words.analyzer(self._java), k1=self._k1, b=self._b, java=self._java)

    def search(self, queries: Sequence[Query], k: int, meter: Meter) -> list[Found]:
        """The k best passages with a word of the query; a query without words finds nothing.

        Several texts are joined: BM25 adds up over words, so that their ranking is that of the texts' mean score.
        """
        texts = self._words.prepare([query.text for query in queries])
        asked = [(query.turn_id, text) for query, text in zip(queries, texts, strict=True)]
        threads = min(self.config.threads or os.cpu_count() or 1, len(asked))
        if threads <= 1:
            return [self._found(*each, k) for each in asked]
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda number: self._part(asked[number::threads], k), range(threads)))
        return [parts[number % threads][number // threads] for number in range(len(asked))]

    def _part(self, asked: Sequence[tuple[str, str]], k: int) -> list[Found]:
        """The share of a thread, which ends after it."""
        try:
            return [self._found(*each, k) for each in asked]
        finally:
            self._java.leave()

    def _found(self, turn_id: str, text: str, k: int) -> Found:
        rows, scores = self._index.best(text, k)
        ranking: Ranking = canonical(turn_id, zip(self._store.ids(rows), scores.tolist(), strict=True), depth=k)
        return Found(ranking)

    def _indexed(self) -> dict[str, Any]:
        """What changes the index, the passages apart."""
        return {"passages": PASSAGE_VIEW, "analyzer": self._words.describe(), "engine": find_jar().stem.removesuffix("-fatjar")}
