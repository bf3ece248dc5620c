"""Searching a Lucene index."""

from __future__ import annotations

import json
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convbench.retrieval.lucene_build import FIELD, open_reader
from convbench.retrieval.lucene_folder import LuceneFolder
from convbench.retrieval.lucene_java import Java

_MORE = 32
"""Passages asked for beyond the cut, to see whether its score goes on there."""
_GROWTH = 4


class LuceneIndex:
    """An open index; several threads may search it at once.

    Args:
        folder: A finished index.
        analyzer: Makes words of queries, as it did of passages.
        k1: BM25's k1.
        b: BM25's b.
        java: Runs it.
    """

    def __init__(self, folder: LuceneFolder, analyzer: Any, *, k1: float, b: float, java: Java) -> None:
        self._folder, self._java = folder, java
        with java.errors(folder.path):
            reader = open_reader(folder, java)
            weakref.finalize(self, reader.close).atexit = False  # Java does not see that nobody needs it any more
            self._passages = int(reader.numDocs())
            self._searcher = java("org.apache.lucene.search.IndexSearcher")(java.cast("org.apache.lucene.index.IndexReader", reader))
            self._searcher.setSimilarity(java("org.apache.lucene.search.similarities.BM25Similarity")(k1, b))
            self._builder = java("org.apache.lucene.util.QueryBuilder")(analyzer)
            self._mapper = java("com.fasterxml.jackson.databind.ObjectMapper")()

    def best(self, text: str, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows and scores, best first: at least the k passages with the largest scores and all that tie with the last of them.

        Scores are Lucene's 32-bit floats: ``idf · tf / (tf + k1 (1 - b + b · length / average))`` added up over the query's words. ``idf``
        and ``average`` are taken over the passages with any word. Lengths above 40 are rounded down, as Lucene keeps them in one byte.
        """
        with self._java.errors(self._folder.path):
            query = self._builder.createBooleanQuery(FIELD, text)
            if query is None:  # no word in it
                return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
            wanted = min(k + _MORE, self._passages)
            while True:
                rows, scores = self._search(query, wanted)
                if len(rows) < wanted or wanted == self._passages or scores[-1] < scores[k - 1]:
                    return rows, scores
                wanted = min(_GROWTH * wanted, self._passages)

    def _search(self, query: Any, wanted: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The best passages; one call gives them all as text, where reading object by object would take longer than the search."""
        hits = json.loads(self._mapper.writeValueAsString(self._searcher.search(query, wanted)))["scoreDocs"]
        rows = np.fromiter((hit["doc"] for hit in hits), np.int64, len(hits))
        return rows, np.fromiter((hit["score"] for hit in hits), np.float32, len(hits))
