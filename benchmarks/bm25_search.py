"""BM25 search over a million passages, the best 1,000 of each query: ours beside bm25s' numpy backend, and mapped beside loaded.

    python benchmarks/bm25_search.py [--out benchmarks/results/bm25_search.json] [--passages 1000000] [--small]

A passage holds 40 to 80 words, a query 6 to 14, both drawn by Zipf's law from 100,000; the 100 commonest words stand for stop words, which
queries do not hold. Ours is all of ``BM25Retriever.search``: words of the query, postings on disk, passage ids, canonical order. bm25s has
its postings in memory and gives row numbers, in no order among equal scores.

Words are written w0, w1 and so on. Building the index has no peer here; its seconds are noted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from side_by_side import Result, environment, extra_megabytes, growth, one_thread, side_by_side, write_results

one_thread()

import bm25s  # noqa: E402
import numpy as np  # noqa: E402

from convbench.datasets.store import ArrowPassageStore  # noqa: E402
from convbench.datasets.store_build import build_store  # noqa: E402
from convbench.meter import Meter  # noqa: E402
from convbench.retrieval.base import Found  # noqa: E402
from convbench.retrieval.bm25 import BM25Config, BM25Retriever  # noqa: E402
from convbench.retrieval.bm25_index import BM25Index  # noqa: E402
from convbench.retrieval.canonical import canonical  # noqa: E402
from convbench.types import Passage  # noqa: E402
from convbench.views.query import Query  # noqa: E402

PASSAGES, SMALL = 1_000_000, 4_000
VOCABULARY = 100_000
STOP_WORDS = 100
QUERIES = 24
K = 1000
_BLOCK = 10_000


class InMemory:
    """bm25s with its numpy backend.

    Args:
        folder: Of its index.
        queries: Words of the queries.
        k: How many passages are wanted.
    """

    def __init__(self, folder: Path, queries: list[list[int]], k: int) -> None:
        self._index = bm25s.BM25.load(str(folder), show_progress=False, verbosity=0)
        numbers = self._index.vocab_dict
        self._queries = [[numbers[f"w{word}"] for word in words if f"w{word}" in numbers] for words in queries]
        self._k = k

    def postings(self) -> int:
        """How many a query has on average."""
        held = np.diff(self._index.scores["indptr"])
        return round(sum(int(held[words].sum()) for words in self._queries) / len(self._queries))

    def retrieve(self) -> Any:
        return self._index.retrieve(self._queries, k=self._k, backend_selection="numpy", show_progress=False)

    def same(self, ours: list[Found], theirs: Any, store: ArrowPassageStore) -> None:
        """Asserts that scores are theirs to the bit, and the ranking the canonical one of all passages with at least the k-th of them."""
        for words, found, best in zip(self._queries, ours, theirs.scores, strict=True):
            scores = self._index.get_scores_from_ids(words)
            rows = np.flatnonzero((scores >= best[-1]) & (scores > 0))
            whole = canonical(found.ranking.turn_id, zip(store.ids(rows), scores[rows].tolist(), strict=True), depth=self._k)
            assert found.ranking == whole, f"{found.ranking.turn_id}: another ranking than bm25s' scores make"
            matching = best[best > 0]  # beyond what matches it returns passages that do not
            assert np.sort(scores[rows])[::-1][: self._k].tobytes() == matching.tobytes()


def written(passages: int) -> Iterator[Passage]:
    """The passages; the first are the same however many there are."""
    for start in range(0, passages, _BLOCK):
        chance = np.random.default_rng([start, 1])
        lengths = chance.integers(40, 81, min(_BLOCK, passages - start))
        words = [f"w{word}" for word in zipf(chance, int(lengths.sum())).tolist()]
        ends = np.cumsum(lengths).tolist()
        for n, (first, end) in enumerate(zip([0, *ends], ends, strict=False), start):
            yield Passage(f"https://example.org/{n % 977}/page-{n}_p{n % 7}", " ".join(words[first:end]))


def zipf(chance: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    """Words of which the n-th is drawn about 1 / n as often as the first."""
    return ((VOCABULARY + 1) ** chance.random(count)).astype(np.int64) - 1


def queries(count: int, first_word: int) -> list[list[int]]:
    """Words of queries, none before the first one."""
    chance = np.random.default_rng(2)
    drawn = zipf(chance, 100 * count)
    drawn = drawn[drawn >= first_word]
    ends = np.cumsum(chance.integers(6, 15, count)).tolist()
    return [drawn[first:end].tolist() for first, end in zip([0, *ends], ends, strict=False)]


def asked(words: list[list[int]]) -> list[Query]:
    return [Query.of(f"{number}_1", " ".join(f"w{word}" for word in each)) for number, each in enumerate(words)]


def measure(passages: int, scratch: Path, count: int) -> list[Result]:
    k = min(K, passages)
    meter = Meter()

    def opened(share: int, mapped: bool = True) -> BM25Retriever:
        found, folder, count = BM25Retriever(BM25Config(k1=0.9, b=0.4)), scratch / str(share), passages * share // 8
        store = build_store(lambda: written(count), folder / "store", sources={"synthetic": str(count)})
        found.index(store, folder, meter)
        if not mapped:
            found._index = BM25Index(next((folder / "bm25").iterdir()), mapped=False)
        return found

    ours = opened(8)
    build = meter.take()["phases"]["index"]["seconds"]
    folder = next((scratch / "8" / "bm25").iterdir())
    store = ArrowPassageStore(scratch / "8" / "store")
    results = []
    for first_word, target, which in ((STOP_WORDS, 15.0, ""), (0, None, ", very common words in the queries")):
        words = queries(count, first_word)
        wanted = asked(words)
        peer = InMemory(folder, words, k)
        search = partial(ours.search, wanted, k, Meter())
        results.append(
            Result(
                path=f"BM25 search, {passages:,} passages, k = {k:,}{which}",
                peer="bm25s, numpy, in memory",
                pairs=side_by_side(search, peer.retrieve, partial(peer.same, store=store)),
                equality="scores to the bit; canonical order of every passage with at least the k-th score",
                target=target,
                settings={"queries": count, "postings a query": peer.postings()},
                notes=""
                if target
                else "A query of words that stand in half the passages is bound by reading their postings, which both have to; bm25s' own "
                "numba backend is as fast as our loop here.",
            )
        )
    wanted = asked(queries(count, STOP_WORDS))
    search, loaded = (partial(each.search, wanted, k, Meter()) for each in (ours, opened(8, mapped=False)))
    results.append(
        Result(
            path=f"BM25 search, {passages:,} passages, k = {k:,}, memory-mapped",
            peer="the same index in memory",
            pairs=side_by_side(search, loaded, equal),
            equality="equal",
            target=0.9,
            growth=growth(lambda times: partial(opened(times).search, wanted, k, Meter())),
            memory={"megabytes while searching, mapped": extra_megabytes(search)},
            notes="Growth is in passages, from an eighth of them.",
            settings={"queries": count, "megabytes on disk": megabytes(folder), "seconds to build": round(build, 1)},
        )
    )
    return results


def equal(one: list[Found], two: list[Found]) -> None:
    assert one == two


def megabytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir()) >> 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--passages", type=int, default=PASSAGES)
    parser.add_argument("--small", action="store_true", help=f"{SMALL:,} passages, for a test")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        results = measure(SMALL if options.small else options.passages, Path(scratch), 8 if options.small else QUERIES)
    write_results(options.out, results, environment(["bm25s", "numba", "numpy", "pyarrow"], load_before))


if __name__ == "__main__":
    main()
