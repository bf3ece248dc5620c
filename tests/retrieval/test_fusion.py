from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from backends.masked import make_masked
from pydantic import ValidationError
from small_index import WordEncoder, passages

from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.retrieval.base import Found, Retriever
from convbench.retrieval.bm25 import BM25Config, BM25Retriever
from convbench.retrieval.canonical import canonical, is_canonical
from convbench.retrieval.dense import DenseRetriever
from convbench.retrieval.fused_scores import normalized, reciprocal_ranks, weighted_sums
from convbench.retrieval.fusion import Fused, FusionConfig, FusionRetriever
from convbench.retrieval.open import open_retriever
from convbench.retrieval.passage_index import IndexConfig, PassageIndex
from convbench.types import Ranking
from convbench.views.query import Query

if TYPE_CHECKING:
    from conftest import StoreOf

PASSAGES = passages(60)
QUERIES = [Query.of("1_1", "who repaired the lamp"), Query.of("1_2", "painted the boat"), Query.of("1_3", "zeppelin")]
BM25 = {"type": "bm25", "k1": 0.9, "b": 0.4}


def random_rankings(seed: int, count: int) -> list[Ranking]:
    chance = random.Random(seed)
    ids = [f"p{number}" for number in range(12)]
    return [
        canonical("1_1", [(each, chance.uniform(-3, 30)) for each in chance.sample(ids, chance.randrange(len(ids)))]) for _ in range(count)
    ]


def cormack(rankings: Sequence[Ranking], weights: Sequence[float], k: int) -> dict[str, Fraction]:
    """The formula once more, in exact numbers and from the passages' side."""
    ids = {each for ranking in rankings for each, _ in ranking.passages}
    places = [{each: place for place, (each, _) in enumerate(ranking.passages)} for ranking in rankings]
    return {
        each: sum(
            (Fraction(weight) / (k + place[each] + 1) for place, weight in zip(places, weights, strict=True) if each in place), Fraction()
        )
        for each in ids
    }


class TestScores:
    @pytest.mark.parametrize("seed", range(20))
    def test_reciprocal_ranks(self, seed: int) -> None:
        rankings = random_rankings(seed, 3)
        for weights, k in (((1.0, 1.0, 1.0), 60), ((0.5, 2.0, 1.25), 0)):
            expected = cormack(rankings, weights, k)
            assert reciprocal_ranks(rankings, weights, k) == pytest.approx(
                {each: float(score) for each, score in expected.items()}, rel=1e-15
            )

    def test_reciprocal_ranks_by_hand(self) -> None:
        first, second = Ranking("1_1", (("a", 9.0), ("b", 8.0))), Ranking("1_1", (("b", 0.9), ("c", 0.2)))
        assert reciprocal_ranks([first, second], [1, 1], 60) == {"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62}

    def test_equal_sums_tie_in_whatever_order_the_ranks_come(self) -> None:
        ids = "abc"
        rankings = [Ranking("1_1", tuple((each, -float(place)) for place, each in enumerate(order))) for order in (ids, "bca", "cab")]
        assert len(set(reciprocal_ranks(rankings, [1, 1, 1], 60).values())) == 1

    @pytest.mark.parametrize("seed", range(10))
    @pytest.mark.parametrize("normalize", ["min-max", "z-score", "none"])
    def test_weighted_sums(self, seed: int, normalize: Any) -> None:
        rankings, weights = random_rankings(seed, 3), (0.5, 2.0, 1.25)
        expected: dict[str, float] = {each: 0.0 for ranking in rankings for each, _ in ranking.passages}
        for ranking, weight in zip(rankings, weights, strict=True):
            scores = np.array([score for _, score in ranking.passages])
            if len(scores) < (1 if normalize == "none" else 2):
                continue
            if normalize == "min-max":
                scores = (scores - scores.min()) / (scores.max() - scores.min())
            elif normalize == "z-score":
                scores = (scores - scores.mean()) / np.sqrt(((scores - scores.mean()) ** 2).mean())
            own = dict(zip([each for each, _ in ranking.passages], scores, strict=True))
            for each in expected:
                expected[each] += weight * own.get(each, scores.min())
        assert weighted_sums(rankings, weights, normalize) == pytest.approx(expected, abs=1e-12)

    def test_being_found_never_counts_for_less(self) -> None:
        below_zero = Ranking("1_1", (("a", -3.0), ("b", -9.0)))
        for normalize in ("min-max", "z-score", "none"):
            scores = weighted_sums([below_zero, Ranking("1_1", (("c", 1.0), ("a", 0.5)))], [1, 1], normalize)  # type: ignore[arg-type]
            assert scores["b"] <= scores["a"]

    def test_scores_that_do_not_differ_and_none(self) -> None:
        for normalize in ("min-max", "z-score"):
            assert normalized(Ranking("1_1", (("a", 7.0),)), normalize) == {"a": 0.0}  # type: ignore[arg-type]
            assert weighted_sums([Ranking("1_1", ()), Ranking("1_1", ())], [1, 1], normalize) == {}  # type: ignore[arg-type]


def bm25() -> BM25Retriever:
    return BM25Retriever(BM25Config(**BM25))


def dense(dim: int = 32) -> DenseRetriever:
    return DenseRetriever(WordEncoder(dim), PassageIndex(IndexConfig()))


def fusion(*fused: Fused, **settings: Any) -> FusionRetriever:
    placeholders = [{"retriever": BM25}] * len(fused)
    return FusionRetriever(FusionConfig(retrievers=placeholders, **settings), fused)


class TestSearch:
    @pytest.mark.parametrize("k", [1, 5, 40])
    @pytest.mark.parametrize(
        "settings", [{"method": "rrf", "rrf_k": 10}, {"method": "weighted"}, {"method": "weighted", "normalize": "z-score"}]
    )
    def test_equals_the_parts_fused_by_hand(self, store_of: StoreOf, tmp_path: Path, settings: dict[str, Any], k: int) -> None:
        store, lexical, semantic = store_of(PASSAGES), bm25(), dense()
        both = fusion(Fused(lexical, 0.7), Fused(semantic, 1.3), depth=25, **settings)
        both.index(store, tmp_path, Meter())
        depth = max(25, k)
        parts = [each.search(QUERIES, depth, Meter()) for each in (lexical, semantic)]
        for query, first, second, found in zip(QUERIES, *parts, both.search(QUERIES, k, Meter()), strict=True):
            rankings = [first.ranking, second.ranking]
            if settings["method"] == "rrf":
                scores = {each: float(score) for each, score in cormack(rankings, (0.7, 1.3), 10).items()}
            else:
                scores = weighted_sums(rankings, (0.7, 1.3), settings.get("normalize", "min-max"))
            expected = sorted(scores, key=lambda each: (scores[each], each), reverse=True)[:k]
            assert [each for each, _ in found.ranking.passages] == expected
            assert [score for _, score in found.ranking.passages] == pytest.approx([scores[each] for each in expected], rel=1e-6)
            assert (found.ranking.turn_id, found.tokens, found.cut) == (query.turn_id, second.tokens, 0)
            assert is_canonical(found.ranking)

    def test_tokens_are_added_up_where_there_are_any(self, store_of: StoreOf, tmp_path: Path) -> None:
        store = store_of(PASSAGES)
        two = fusion(Fused(bm25()), Fused(bm25()))
        two.index(store, tmp_path, Meter())
        assert [found.tokens for found in two.search(QUERIES, 5, Meter())] == [None] * 3
        short = DenseRetriever(WordEncoder(longest=3), PassageIndex(IndexConfig()))
        three = fusion(Fused(bm25()), Fused(dense()), Fused(short))
        three.index(store, tmp_path, Meter())
        assert [(found.tokens, found.cut) for found in three.search(QUERIES[:1], 5, Meter())] == [(4 + 3, 1)]

    def test_each_searches_with_its_form(self, store_of: StoreOf, tmp_path: Path) -> None:
        lexical = bm25()
        both = fusion(Fused(lexical, 1.0, "keywords"), Fused(lexical), method="rrf")
        both.index(store_of(PASSAGES), tmp_path, Meter())
        query = replace(QUERIES[0], forms={"keywords": ("bridge", "river")})
        first, second = lexical.search([Query.of("1_1", "bridge river"), QUERIES[0]], 1000, Meter())
        (found,) = both.search([query], 60, Meter())
        expected = canonical("1_1", reciprocal_ranks([first.ranking, second.ranking], [1, 1], 60).items(), depth=60)
        assert found == Found(expected)
        with pytest.raises(UsageError, match=r"turn 1_2: the rewriter makes no form 'keywords'"):
            both.search([QUERIES[1]], 5, Meter())

    def test_no_queries(self, store_of: StoreOf, tmp_path: Path) -> None:
        both = fusion(Fused(bm25()), Fused(dense()))
        both.index(store_of(PASSAGES), tmp_path, Meter())
        assert both.search([], 5, Meter()) == []


class TestParts:
    def test_indexes_of_one_kind_are_counted_apart(self, store_of: StoreOf, tmp_path: Path) -> None:
        meter = Meter()
        three = fusion(Fused(bm25()), Fused(dense(16)), Fused(dense(32)))
        three.index(store_of(PASSAGES), tmp_path, meter)
        taken = meter.take()
        assert list(taken["indexes"]) == ["1 bm25", "2 dense", "3 dense"]
        assert taken["indexes"]["3 dense"] > taken["indexes"]["2 dense"] > 0
        assert list(taken["phases"]) == ["index"]
        with meter.phase("search"):
            three.search(QUERIES, 5, meter)
        phases = meter.take()["phases"]
        assert phases["encode"]["forward_passes"] == 2

    def test_one_retriever_for_two_forms_is_opened_once(self, store_of: StoreOf, tmp_path: Path) -> None:
        config = FusionConfig(
            retrievers=[{"retriever": BM25, "form": "a"}, {"retriever": BM25, "form": "b"}, {"retriever": {**BM25, "b": 0.75}}]
        )
        found = open_retriever(config, usual_bm25={}, offline=True)
        assert isinstance(found, FusionRetriever)
        first, second, third = (each.retriever for each in found._fused)
        assert first is second is not third
        meter = Meter()
        found.index(store_of(PASSAGES), tmp_path, meter)
        assert list(meter.take()["indexes"]) == ["1 bm25", "2 bm25"]

    def test_the_description_says_all_that_counts(self) -> None:
        lexical = bm25()
        plain = fusion(Fused(lexical), Fused(dense()))
        others = [
            fusion(Fused(lexical, 2.0), Fused(dense())),
            fusion(Fused(lexical, form="a"), Fused(dense())),
            fusion(Fused(lexical), Fused(dense(8))),
            fusion(Fused(lexical), Fused(dense()), rrf_k=61),
            fusion(Fused(lexical), Fused(dense()), depth=7),
            fusion(Fused(lexical), Fused(dense()), method="weighted"),
            fusion(Fused(lexical), Fused(dense()), method="weighted", normalize="none"),
        ]
        described = [each.describe() for each in [plain, *others]]
        assert all(described.count(each) == 1 for each in described)
        assert fusion(Fused(lexical), Fused(dense()), normalize="none").describe() == plain.describe()  # no setting of rrf
        assert isinstance(plain, Retriever)


class TestConfigured:
    def test_bm25_with_a_sparse_retriever(self, store_of: StoreOf, tmp_path: Path) -> None:
        folder = make_masked(tmp_path / "splade", bias=-4.0)
        sparse = {"type": "sparse", "encoder": {"model": str(folder), "device": "cpu"}}
        config = FusionConfig(retrievers=[{"retriever": {"type": "bm25"}}, {"retriever": sparse, "weight": 2}])
        found = open_retriever(config, usual_bm25={"k1": 1.5}, offline=True)
        found.check()
        assert found.describe()["retrievers"][0]["retriever"]["k1"] == 1.5
        store = store_of(PASSAGES)
        found.index(store, tmp_path / "cache", Meter())
        alone = open_retriever(config.retrievers[1].retriever, usual_bm25={}, offline=True)
        alone.index(store, tmp_path / "cache", Meter())
        lexical = open_retriever(BM25Config(k1=1.5), usual_bm25={}, offline=True)
        lexical.index(store, tmp_path / "cache", Meter())
        for query in QUERIES:
            parts = [each.search([query], 1000, Meter())[0].ranking for each in (lexical, alone)]
            expected = canonical(query.turn_id, reciprocal_ranks(parts, [1, 2], 60).items(), depth=10)
            assert found.search([query], 10, Meter())[0].ranking == expected

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"retrievers": [{"retriever": BM25}]}, "at least 2"),
            ({"retrievers": [{"retriever": BM25}, {"retriever": {"type": "fusion"}}]}, "does not match any of the expected tags"),
            ({"retrievers": [{"retriever": BM25}, {"retriever": BM25, "weight": 0}]}, "greater than 0"),
            ({"retrievers": [{"retriever": BM25}, {"retriever": BM25, "weight": float("inf")}]}, "finite"),
            (
                {"retrievers": [{"retriever": BM25}, {"retriever": {"type": "conversational", "encoder": {"model": "m"}}, "form": "a"}]},
                "writes its query itself and has no form",
            ),
            ({"method": "borda"}, "rrf"),
            ({"rrf_k": -1}, "greater than or equal to 0"),
            ({"normalise": "min-max"}, "Extra inputs"),
        ],
    )
    def test_settings_that_make_no_sense(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            FusionConfig(**{"retrievers": [{"retriever": BM25}, {"retriever": BM25}], **change})
