from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import Stemmer
from pydantic import ValidationError

from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.retrieval import bm25_build
from convbench.retrieval.base import Found, Retriever
from convbench.retrieval.bm25 import BM25Config, BM25Retriever
from convbench.retrieval.bm25_index import BM25Index
from convbench.retrieval.canonical import is_canonical
from convbench.types import Passage, Ranking
from convbench.views.query import Query
from convbench.views.words import AnalyzerConfig

if TYPE_CHECKING:
    from conftest import StoreOf

# Lucene's English stop words (EnglishAnalyzer.ENGLISH_STOP_WORDS_SET).
LUCENE_STOP_WORDS = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will with"
)
WORDS = (
    "boat boats boating harbour harbours keeper keepers lighthouse rope ropes storm storms stormy winter letter letters music "
    "musical bridge river rivers stone stones lamp oil wick Fresnel 1851 naïve 東京 the of and in was to"
)
K1, B = 0.9, 0.4


def random_passages(count: int) -> list[Passage]:
    """Short texts of few words, so that scores often tie; some are empty, some are copies."""
    chance = random.Random(7)
    texts = [" ".join(chance.choices(WORDS.split(), k=chance.randrange(13))) for _ in range(count)]
    texts += chance.choices(texts, k=count // 4)
    return [Passage(f"p{chance.randrange(10**6)}:{n}", text, chance.choice(["", "Lamp oil", "Winter"])) for n, text in enumerate(texts)]


PASSAGES = random_passages(300)
QUERIES = [
    "who kept the lighthouse in winter storms",
    "boat",
    "boated stormier",  # forms that no passage holds, of stems that many do
    "oil lamp oil lamp oil",
    "Fresnel 1851 東京 NAÏVE",
    "letters, music: stones; bridges!",
    "harbour zeppelin",
]


def retriever(analyzer: AnalyzerConfig | None = None, **settings: Any) -> BM25Retriever:
    return BM25Retriever(BM25Config(**{"k1": K1, "b": B, **settings}, analyzer=analyzer or AnalyzerConfig()))


def search(found: BM25Retriever, queries: Sequence[Query], k: int) -> list[Ranking]:
    return [each.ranking for each in found.search([Query.of(*query) for query in queries], k, Meter())]


class LuceneBM25:
    """BM25 as Lucene 8 and later compute it, by definition and in float64: the sum of idf tf / (tf + k1 (1 - b + b length / average))."""

    def __init__(self, passages: Sequence[Passage], k1: float, b: float, *, stem: bool, stop: bool) -> None:
        self._stem = Stemmer.Stemmer("english").stemWord if stem else str
        self._stop = set(LUCENE_STOP_WORDS.split()) if stop else set()
        self._words = {p.id: self.words(f"{p.title} {p.text}") for p in passages}
        self._frequency = Counter(word for words in self._words.values() for word in set(words))
        self._average = sum(map(len, self._words.values())) / len(passages)
        self._k1, self._b = k1, b

    def words(self, text: str) -> list[str]:
        return [self._stem(word) for word in re.findall(r"\w+", text.lower()) if len(word) > 1 and word not in self._stop]

    def score(self, query: str, passage_id: str) -> float:
        words = self._words[passage_id]
        norm = self._k1 * (1 - self._b + self._b * len(words) / self._average)
        total = 0.0
        for word in self.words(query):
            df, tf = self._frequency[word], words.count(word)
            total += math.log(1 + (len(self._words) - df + 0.5) / (df + 0.5)) * tf / (tf + norm)
        return total

    def ranking(self, query: str) -> list[tuple[str, float]]:
        """Every passage above zero, equal scores by id descending."""
        scored = [(passage_id, self.score(query, passage_id)) for passage_id in self._words]
        return sorted((pair for pair in scored if pair[1] > 0), key=lambda pair: (pair[1], pair[0]), reverse=True)


def assert_gaps_show_in_float32(scores: list[float]) -> None:
    """The comparison of orders only means something where different scores differ by more than 32-bit sums can blur."""
    distinct = np.unique(scores)
    assert np.all(np.diff(distinct) > 2e-6 * distinct[1:])


@pytest.mark.parametrize("k", [1, 3, 10, 100, 10_000])
@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (0.82, 0.0)])
def test_equals_a_brute_force_lucene_bm25(store_of: StoreOf, tmp_path: Path, k1: float, b: float, k: int) -> None:
    found = retriever(k1=k1, b=b)
    found.index(store_of(PASSAGES), tmp_path, Meter())
    expected = LuceneBM25(PASSAGES, k1, b, stem=True, stop=True)
    ties_at_the_cut = 0
    for number, (ranking, query) in enumerate(zip(search(found, [(f"1_{n}", q) for n, q in enumerate(QUERIES)], k), QUERIES, strict=True)):
        whole = expected.ranking(query)
        assert_gaps_show_in_float32([score for _, score in whole])
        assert ranking.turn_id == f"1_{number}"
        assert [passage_id for passage_id, _ in ranking.passages] == [passage_id for passage_id, _ in whole[:k]]
        assert [score for _, score in ranking.passages] == pytest.approx([score for _, score in whole[:k]], rel=2e-5)
        assert is_canonical(ranking)
        ties_at_the_cut += len(whole) > k and whole[k - 1][1] == whole[k][1]
    if k in (3, 10):
        assert ties_at_the_cut


@pytest.mark.parametrize(("stem", "stop"), [(False, True), (True, False), (False, False)])
def test_equals_brute_force_under_other_analysers(store_of: StoreOf, tmp_path: Path, stem: bool, stop: bool) -> None:
    found = retriever(AnalyzerConfig(stemmer="english" if stem else "none", stopwords="english" if stop else "none"))
    found.index(store_of(PASSAGES), tmp_path, Meter())
    expected = LuceneBM25(PASSAGES, K1, B, stem=stem, stop=stop)
    for query in QUERIES:
        (ranking,) = search(found, [("1_1", query)], 50)
        whole = expected.ranking(query)
        assert_gaps_show_in_float32([score for _, score in whole])
        assert [passage_id for passage_id, _ in ranking.passages] == [passage_id for passage_id, _ in whole[:50]]


@pytest.mark.parametrize("method", ["lucene", "robertson", "atire", "bm25l", "bm25+"])
def test_only_passages_with_a_word_of_the_query_are_returned(store_of: StoreOf, tmp_path: Path, method: str) -> None:
    found = retriever(method=method)
    found.index(store_of(PASSAGES), tmp_path, Meter())
    expected = LuceneBM25(PASSAGES, K1, B, stem=True, stop=True)
    for query in QUERIES:
        (ranking,) = search(found, [("1_1", query)], len(PASSAGES))
        assert {passage_id for passage_id, _ in ranking.passages} == {passage_id for passage_id, _ in expected.ranking(query)}


@pytest.mark.parametrize("query", ["", "  \n", "?!", "the of and", "a b c", "zeppelin", "the zeppelin"])
def test_a_query_without_known_words_finds_nothing(store_of: StoreOf, tmp_path: Path, query: str) -> None:
    found = retriever()
    found.index(store_of(PASSAGES), tmp_path, Meter())
    rankings = search(found, [("1_1", query), ("1_2", "boat"), ("1_3", query)], 5)
    assert [len(ranking.passages) for ranking in rankings] == [0, 5, 0]


def test_a_pattern_that_matches_nothing_at_all(store_of: StoreOf, tmp_path: Path) -> None:
    """bm25s gives the empty word a number after the index is built, so that it has no postings to look for."""
    found = retriever(AnalyzerConfig(pattern=r"(?<=q)|\w\w+"))
    found.index(store_of(PASSAGES), tmp_path, Meter())
    (plain, with_q, only_q) = search(found, [("1_1", "boat"), ("1_2", "boat q"), ("1_3", "q")], 5)
    assert plain.passages == with_q.passages
    assert len(plain.passages) == 5
    assert only_q.passages == ()


def test_no_queries(store_of: StoreOf, tmp_path: Path) -> None:
    found = retriever()
    found.index(store_of(PASSAGES), tmp_path, Meter())
    assert search(found, [], 5) == []


def test_batches_do_not_show(store_of: StoreOf, tmp_path: Path) -> None:
    found = retriever()
    found.index(store_of(PASSAGES), tmp_path, Meter())
    queries = [(f"1_{n}", query) for n, query in enumerate(QUERIES)]
    together = search(found, queries, 20)
    assert [search(found, [query], 20)[0] for query in reversed(queries)] == together[::-1]


@pytest.mark.parametrize("texts", [["the of and"], ["", ""], ["?"]])
def test_a_collection_without_words_is_refused(store_of: StoreOf, tmp_path: Path, texts: list[str]) -> None:
    with pytest.raises(UsageError, match="bm25: no passage of the collection holds a word"):
        retriever().index(store_of([Passage(f"p{n}", text) for n, text in enumerate(texts)]), tmp_path, Meter())
    assert [path.name for path in (tmp_path / "bm25").rglob("*") if path.is_file()] == ["build.lock"]


def test_one_passage(store_of: StoreOf, tmp_path: Path) -> None:
    found = retriever()
    found.index(store_of([Passage("p", "a red boat", "Boats")]), tmp_path, Meter())
    (ranking,) = search(found, [("1_1", "boats")], 5)
    assert [passage_id for passage_id, _ in ranking.passages] == ["p"]


def test_what_the_meter_and_the_results_say(store_of: StoreOf, tmp_path: Path) -> None:
    found, meter = retriever(), Meter()
    found.index(store_of(PASSAGES), tmp_path, meter)
    taken = meter.take()
    assert list(taken["phases"]) == ["index"]
    assert taken["indexes"] == {
        "bm25": sum(path.stat().st_size for path in (tmp_path / "bm25").rglob("*.*") if path.suffix in (".npy", ".json"))
    }
    (one,) = found.search([Query.of("1_1", "boat")], 5, meter)
    assert (type(one), one.tokens, one.cut) == (Found, None, 0)
    retriever().index(store_of(PASSAGES), tmp_path, meter)
    assert meter.take() == {**taken, "phases": {}}


class TestIndexOnDisk:
    def test_it_is_built_once(self, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = store_of(PASSAGES)
        first = retriever()
        first.index(store, tmp_path / "cache", Meter())
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}

        def refuse(*_: object) -> None:
            raise AssertionError("built again")

        monkeypatch.setattr(bm25_build, "count_words", refuse)
        second = retriever()
        second.index(store, tmp_path / "cache", Meter())
        assert search(second, [("1_1", QUERIES[0])], 20) == search(first, [("1_1", QUERIES[0])], 20)
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == before

    def test_memory_mapped_equals_in_memory(self, store_of: StoreOf, tmp_path: Path) -> None:
        found = retriever()
        found.index(store_of(PASSAGES), tmp_path, Meter())
        (folder,) = (tmp_path / "bm25").iterdir()
        mapped = [search(found, [("1_1", query)], 400) for query in QUERIES]
        found._index = BM25Index(folder, mapped=False)
        assert [search(found, [("1_1", query)], 400) for query in QUERIES] == mapped

    @pytest.mark.parametrize("change", [{"k1": 1.2}, {"b": 0.75}, {"method": "atire"}, {"analyzer": AnalyzerConfig(stemmer="none")}])
    def test_other_settings_have_another_index(self, store_of: StoreOf, tmp_path: Path, change: dict[str, Any]) -> None:
        store = store_of(PASSAGES[:9])
        retriever().index(store, tmp_path, Meter())
        retriever(**change).index(store, tmp_path, Meter())
        assert len(list((tmp_path / "bm25").iterdir())) == 2
        assert retriever(**change).describe() != retriever().describe()

    def test_other_passages_have_another_index(self, store_of: StoreOf, tmp_path: Path) -> None:
        found = retriever()
        found.index(store_of(PASSAGES[:9]), tmp_path, Meter())
        found.index(store_of(PASSAGES[:8]), tmp_path, Meter())
        assert len(list((tmp_path / "bm25").iterdir())) == 2
        search(found, [("1_1", "boat")], 9)


def test_it_keeps_the_protocol_and_wants_its_parameters() -> None:
    assert isinstance(retriever(), Retriever)
    with pytest.raises(ValueError, match="k1 and b must be resolved"):
        BM25Retriever(BM25Config(k1=0.9))


@pytest.mark.parametrize(
    "change",
    [
        {"k1": -1},
        {"k1": float("inf")},
        {"b": 1.5},
        {"method": "tf-idf"},
        {"K1": 0.9},
        {"analyzer": {"pattern": "("}},
        {"analyzer": {"pattern": r"(\w)(\w+)"}},
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        BM25Config(**change)
