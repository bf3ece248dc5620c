from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError
from small_index import WordEncoder, passages

from convbench.backends.base import Encoded, TextEncoder
from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.retrieval.base import Found, Retriever
from convbench.retrieval.canonical import is_canonical
from convbench.retrieval.dense import DenseConfig, DenseRetriever
from convbench.retrieval.passage_index import IndexConfig, PassageIndex
from convbench.types import Passage
from convbench.views.passages import passage_text
from convbench.views.query import Query

if TYPE_CHECKING:
    from conftest import StoreOf

    from convbench.backends.encoder import HFEncoder

PASSAGES = passages(50)
QUERIES = [("1_1", "who repaired the lamp"), ("1_2", "what happened to the letters\nwho painted the boat"), ("1_3", "bridges in 1512")]


def retriever(encoder: TextEncoder | None = None, shard_rows: int = 20, **settings: Any) -> DenseRetriever:
    return DenseRetriever(encoder or WordEncoder(), PassageIndex(IndexConfig(**settings), shard_rows=shard_rows))


def search(dense: DenseRetriever, queries: list[tuple[str, str]], k: int, meter: Meter | None = None) -> list[Found]:
    return dense.search([Query.of(*query) for query in queries], k, meter or Meter())


def ids(found: Any) -> list[str]:
    return [passage_id for passage_id, _ in found.ranking.passages]


class TestSearch:
    @pytest.mark.parametrize("storage", ["float16", "float32"])
    @pytest.mark.parametrize("k", [1, 7, 50, 1000])
    def test_equals_numpy(self, store_of: StoreOf, tmp_path: Path, k: int, storage: str) -> None:
        encoder = WordEncoder()
        dense = retriever(encoder, storage=storage)
        dense.index(store_of(PASSAGES), tmp_path, Meter())
        vectors = encoder.encode_passages([passage_text(passage) for passage in PASSAGES], Meter()).vectors.astype(storage)
        products = encoder.encode_queries([text for _, text in QUERIES], Meter()).vectors @ vectors.astype(np.float32).T
        for (turn_id, _), row, found in zip(QUERIES, products, search(dense, QUERIES, k, Meter()), strict=True):
            order = np.argsort(-row)[:k]
            assert found.ranking.turn_id == turn_id
            assert ids(found) == [PASSAGES[n].id for n in order]
            np.testing.assert_allclose([score for _, score in found.ranking.passages], row[order], atol=1e-6)
            assert is_canonical(found.ranking)

    def test_minilm_equals_numpy(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path) -> None:
        dense = retriever(minilm)
        dense.index(store_of(PASSAGES), tmp_path, Meter())
        vectors = minilm.encode_passages([passage_text(passage) for passage in PASSAGES], Meter()).vectors
        products = minilm.encode_queries([text for _, text in QUERIES], Meter()).vectors @ vectors.T
        for row, found in zip(products, search(dense, QUERIES, 10, Meter()), strict=True):
            np.testing.assert_allclose([score for _, score in found.ranking.passages], np.sort(row)[::-1][:10], atol=1e-3)

    def test_shards_do_not_show(self, store_of: StoreOf, tmp_path: Path) -> None:
        found = []
        for shard_rows in (7, 1000):
            dense = retriever(shard_rows=shard_rows)
            dense.index(store_of(PASSAGES), tmp_path, Meter())
            found.append(search(dense, QUERIES, 20, Meter()))
        assert found[0] == found[1]

    def test_copies_of_a_passage_stand_by_id_descending(self, store_of: StoreOf, tmp_path: Path) -> None:
        copies = [Passage(f"copy {n}", PASSAGES[0].text, PASSAGES[0].title) for n in (2, 0, 1)]
        dense = retriever(shard_rows=2)
        dense.index(store_of([*copies, *PASSAGES[1:9]]), tmp_path, Meter())
        (found,) = search(dense, [("1_1", passage_text(PASSAGES[0]))], 5)
        assert ids(found)[:3] == ["copy 2", "copy 1", "copy 0"]
        assert is_canonical(found.ranking)

    @pytest.mark.parametrize("k", [1, 5, 60])
    def test_ties_at_the_cut_are_broken_by_id_too(self, store_of: StoreOf, tmp_path: Path, k: int) -> None:
        copies = [Passage(f"copy {n:03d}", PASSAGES[0].text) for n in range(150)]
        dense = retriever()
        dense.index(store_of([*copies, *PASSAGES[1:9]]), tmp_path, Meter())
        found = search(dense, [("1_1", PASSAGES[0].text), ("1_2", passage_text(PASSAGES[3]))], k)
        assert ids(found[0]) == [f"copy {n:03d}" for n in range(149, 149 - k, -1)]
        assert ids(found[1])[0] == PASSAGES[3].id

    def test_no_queries(self, store_of: StoreOf, tmp_path: Path) -> None:
        dense = retriever()
        dense.index(store_of(PASSAGES[:3]), tmp_path, Meter())
        assert search(dense, [], 5) == []

    def test_lengths_and_costs(self, store_of: StoreOf, tmp_path: Path) -> None:
        dense, meter = retriever(WordEncoder(longest=5)), Meter()
        dense.index(store_of(PASSAGES), tmp_path, meter)
        taken = meter.take()
        assert list(taken["phases"]) == ["index"]
        assert taken["models"] == {"words": 32_000}
        assert taken["indexes"] == {"dense": sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))}
        with meter.phase("search", turns=3):
            found = search(dense, QUERIES, 5, meter)
        assert [(each.tokens, each.cut) for each in found] == [(4, 0), (5, 4), (3, 0)]
        phases = meter.take()["phases"]
        assert {name: phase["turns"] for name, phase in phases.items()} == {"encode": 3, "search": 3}
        assert phases["encode"]["tokens_in"] == 12
        assert "tokens_in" not in phases["search"]


class QueriesGoWrong(WordEncoder):
    """Encodes the second query as it should not."""

    def __init__(self, *, dim: int = 32, value: float = 0.0) -> None:
        super().__init__()
        self._dim, self._value = dim, value

    def encode_passages(self, texts, meter):
        return WordEncoder().encode_passages(texts, meter)

    def encode_queries(self, texts, meter):
        vectors = np.zeros((len(texts), self._dim), dtype=np.float32)
        vectors[1, 3] = self._value
        return Encoded(vectors, (1,) * len(texts), (0,) * len(texts))


class TestVectorsThatDoNotFit:
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_query_that_is_not_finite_is_named(self, store_of: StoreOf, tmp_path: Path, value: float) -> None:
        dense = retriever(QueriesGoWrong(value=value))
        dense.index(store_of(PASSAGES), tmp_path, Meter())
        with pytest.raises(UsageError, match=r"^turn 1_2: the query's vector is not finite; check the checkpoint"):
            search(dense, QUERIES, 5, Meter())

    def test_queries_of_another_length(self, store_of: StoreOf, tmp_path: Path) -> None:
        dense = retriever(QueriesGoWrong(dim=16))
        dense.index(store_of(PASSAGES), tmp_path, Meter())
        with pytest.raises(UsageError, match="3 query vectors of length 16, expected 3 of length 32 as the passages'"):
            search(dense, QUERIES, 5, Meter())


class TestIndexOnDisk:
    def test_passages_are_encoded_once(self, store_of: StoreOf, tmp_path: Path) -> None:
        encoder, store = WordEncoder(), store_of(PASSAGES)
        for _ in range(2):
            retriever(encoder).index(store, tmp_path, Meter())
        assert [len(texts) for texts in encoder.calls] == [20, 20, 10]

    def test_a_lost_shard_changes_nothing(self, store_of: StoreOf, tmp_path: Path) -> None:
        dense, store = retriever(), store_of(PASSAGES)
        dense.index(store, tmp_path, Meter())
        before = search(dense, QUERIES, 20, Meter())
        sorted((tmp_path / "dense").rglob("*.npy"))[1].unlink()
        dense.index(store, tmp_path, Meter())
        assert search(dense, QUERIES, 20, Meter()) == before

    def test_other_passages_or_settings_share_nothing(self, store_of: StoreOf, tmp_path: Path) -> None:
        retriever().index(store_of(PASSAGES[:5]), tmp_path, Meter())
        retriever().index(store_of(PASSAGES[:4]), tmp_path, Meter())
        retriever(WordEncoder(longest=3)).index(store_of(PASSAGES[:5]), tmp_path, Meter())
        retriever(storage="float32").index(store_of(PASSAGES[:5]), tmp_path, Meter())
        retriever(shard_rows=3).index(store_of(PASSAGES[:5]), tmp_path, Meter())
        assert len(list((tmp_path / "dense").iterdir())) == 5

    def test_float16_is_half_the_size(self, store_of: StoreOf, tmp_path: Path) -> None:
        sizes = []
        for storage in ("float16", "float32"):
            meter = Meter()
            retriever(WordEncoder(dim=512), storage=storage).index(store_of(PASSAGES), tmp_path, meter)
            sizes.append(meter.take()["indexes"]["dense"] - 3 * 128)
        assert 2 * sizes[0] == sizes[1] == 4 * 50 * 512


class TestConfig:
    def test_it_keeps_the_protocols(self) -> None:
        assert isinstance(WordEncoder(), TextEncoder)
        assert isinstance(retriever(), Retriever)

    def test_what_changes_a_ranking_is_described(self) -> None:
        plain = retriever().describe()
        assert plain["encoder"] == WordEncoder().describe()
        others = [retriever(storage="float32"), retriever(index={"type": "sq8"}), retriever(WordEncoder(longest=9))]
        assert all(other.describe() != plain for other in others)
        assert retriever(shard_rows=7).describe() == plain

    def test_half_precision_and_exact_search_are_the_default(self) -> None:
        config = DenseConfig.model_validate({"type": "dense", "encoder": {"model": "m"}})
        assert (config.storage, config.index.type) == ("float16", "exact")
        assert PassageIndex(config).describe()["index"] == {"type": "exact"}

    @pytest.mark.parametrize("change", [{"storage": "int8"}, {"storage": None}, {"index": "exact"}, {"index": {"type": "hnsw", "k": 3}}])
    def test_settings_that_make_no_sense_are_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match=next(iter(change))):
            DenseConfig.model_validate({"encoder": {"model": "m"}, **change})
