from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convbench.retrieval import dense
from convbench.retrieval.base import Retriever
from convbench.retrieval.canonical import is_canonical
from convbench.retrieval.dense import DenseRetriever, search_shards
from convbench.types import Passage
from convbench.views.passages import passage_text

if TYPE_CHECKING:
    from conftest import StoreOf
    from numpy.typing import NDArray

    from convbench.backends.base import Vectors
    from convbench.backends.encoder import HFEncoder

SUBJECTS = ["The keeper", "A sailor", "The musician", "Nobody", "The miller", "An engineer", "The baker", "Her sister"]
VERBS = ["repaired", "painted", "sold", "lost", "described", "found", "hid", "measured"]
OBJECTS = ["the red boat", "an old lamp", "the stone bridge", "a bundle of letters", "the bell", "a map of the river"]
PASSAGES = [
    Passage(
        f"p {n}", f"{random.Random(n).choice(SUBJECTS)} {VERBS[n % 8]} {OBJECTS[n % 6]} in 18{n:02d}.", f"Volume {n % 7}" if n % 3 else ""
    )
    for n in range(50)
]
QUERIES = [("1_1", "who repaired the lamp"), ("1_2", "what happened to the letters\nwho painted the boat"), ("1_3", "bridges in 1812")]


class CountingEncoder:
    """A real encoder that notes which passages it was given."""

    def __init__(self, encoder: HFEncoder) -> None:
        self._encoder = encoder
        self.calls: list[list[str]] = []
        self.fail_at_call: int | None = None

    @property
    def dim(self) -> int:
        return self._encoder.dim

    def describe(self) -> dict[str, Any]:
        return self._encoder.describe()

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self._encoder.encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(list(texts))
        if len(self.calls) == self.fail_at_call:
            raise KeyboardInterrupt
        return self._encoder.encode_passages(texts)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "SHARD_ROWS", 20)


def shards_of(folder: Path, vectors: NDArray[np.float32], sizes: Sequence[int]) -> list[Path]:
    paths = [folder / f"{number}.npy" for number in range(len(sizes))]
    for path, part in zip(paths, np.split(vectors, np.cumsum(sizes)[:-1]), strict=True):
        np.save(path, part)
    return paths


class TestSearchShards:
    @pytest.mark.parametrize("k", [1, 9, 100, 700])
    @pytest.mark.parametrize("sizes", [[700], [300, 400], [1, 650, 49], [100] * 7])
    def test_equals_one_flat_index_and_numpy(self, tmp_path: Path, sizes: list[int], k: int) -> None:
        import faiss

        chance = np.random.default_rng(3)
        vectors = chance.standard_normal((700, 24), dtype=np.float32)
        queries = chance.standard_normal((9, 24), dtype=np.float32)
        scores, rows = search_shards(queries, shards_of(tmp_path, vectors, sizes), k)
        exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
        order = np.argsort(-exact, axis=1)[:, :k]
        assert rows.tolist() == order.tolist()
        np.testing.assert_allclose(scores, np.take_along_axis(exact, order, axis=1), atol=1e-5)
        index = faiss.IndexFlatIP(24)
        index.add(vectors)
        flat_scores, flat_rows = index.search(queries, k)
        assert rows.tolist() == flat_rows.tolist()
        np.testing.assert_allclose(scores, flat_scores, atol=1e-5)
        assert (scores.dtype, rows.dtype) == (np.float32, np.int64)

    def test_products_below_zero_count(self, tmp_path: Path) -> None:
        vectors = -np.arange(1, 7, dtype=np.float32)[:, None]
        scores, rows = search_shards(np.ones((1, 1), dtype=np.float32), shards_of(tmp_path, vectors, [2, 2, 2]), 4)
        assert (rows.tolist(), scores.tolist()) == ([[0, 1, 2, 3]], [[-1, -2, -3, -4]])

    def test_equal_vectors_all_come_once(self, tmp_path: Path) -> None:
        vectors = np.ones((10, 4), dtype=np.float32)
        _, rows = search_shards(np.ones((2, 4), dtype=np.float32), shards_of(tmp_path, vectors, [3, 3, 4]), 10)
        assert [sorted(row) for row in rows.tolist()] == [list(range(10))] * 2


class TestRetriever:
    @pytest.mark.parametrize("k", [1, 7, 50, 1000])
    def test_equals_numpy(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path, small_shards: None, k: int) -> None:
        retriever = DenseRetriever(minilm)
        retriever.index(store_of(PASSAGES), tmp_path)
        texts = [text for _, text in QUERIES]
        products = minilm.encode_queries(texts) @ minilm.encode_passages([passage_text(passage) for passage in PASSAGES]).T
        for (turn_id, _), row, ranking in zip(QUERIES, products, retriever.search(QUERIES, k), strict=True):
            order = np.argsort(-row)[:k]
            assert ranking.turn_id == turn_id
            assert [passage_id for passage_id, _ in ranking.passages] == [PASSAGES[n].id for n in order]
            np.testing.assert_allclose([score for _, score in ranking.passages], row[order], atol=1e-5)
            assert is_canonical(ranking)

    def test_shards_do_not_show(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = []
        for size in (7, 1000):
            monkeypatch.setattr(dense, "SHARD_ROWS", size)
            retriever = DenseRetriever(minilm)
            retriever.index(store_of(PASSAGES), tmp_path)
            found.append([[passage_id for passage_id, _ in ranking.passages] for ranking in retriever.search(QUERIES, 20)])
        assert found[0] == found[1]

    def test_copies_of_a_passage_stand_by_id_descending(
        self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path, small_shards: None
    ) -> None:
        copies = [Passage(f"copy {n}", PASSAGES[0].text) for n in (2, 0, 1)]
        retriever = DenseRetriever(minilm)
        retriever.index(store_of([*copies, *PASSAGES[1:9]]), tmp_path)
        (ranking,) = retriever.search([("1_1", PASSAGES[0].text)], 5)
        assert [passage_id for passage_id, _ in ranking.passages[:3]] == ["copy 2", "copy 1", "copy 0"]
        assert is_canonical(ranking)

    @pytest.mark.parametrize("k", [1, 5, 30])
    def test_ties_at_the_cut_are_broken_by_id_too(
        self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path, small_shards: None, k: int
    ) -> None:
        copies = [Passage(f"copy {n:02d}", PASSAGES[0].text) for n in range(50)]
        retriever = DenseRetriever(minilm)
        retriever.index(store_of([*copies, *PASSAGES[1:9]]), tmp_path)
        rankings = retriever.search([("1_1", PASSAGES[0].text), ("1_2", PASSAGES[3].text)], k)
        assert [passage_id for passage_id, _ in rankings[0].passages] == [f"copy {n:02d}" for n in range(49, 49 - k, -1)]
        assert rankings[1].passages[0][0] == PASSAGES[3].id

    def test_no_queries(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path) -> None:
        retriever = DenseRetriever(minilm)
        retriever.index(store_of(PASSAGES[:3]), tmp_path)
        assert retriever.search([], 5) == []

    def test_it_keeps_the_protocol(self, minilm: HFEncoder) -> None:
        assert isinstance(DenseRetriever(minilm), Retriever)
        assert DenseRetriever(minilm).describe()["encoder"] == minilm.describe()


@pytest.mark.usefixtures("small_shards")
class TestIndexOnDisk:
    def test_passages_are_encoded_once(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path) -> None:
        encoder = CountingEncoder(minilm)
        store = store_of(PASSAGES)
        DenseRetriever(encoder).index(store, tmp_path)
        assert [len(texts) for texts in encoder.calls] == [20, 20, 10]
        assert [text for texts in encoder.calls for text in texts] == [passage_text(passage) for passage in PASSAGES]
        DenseRetriever(encoder).index(store, tmp_path)
        assert len(encoder.calls) == 3

    def test_only_a_lost_shard_is_encoded_again(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path) -> None:
        encoder = CountingEncoder(minilm)
        retriever = DenseRetriever(encoder)
        retriever.index(store_of(PASSAGES), tmp_path)
        before = retriever.search(QUERIES, 20)
        shards = sorted((tmp_path / "dense").rglob("*.npy"))
        times = [path.stat().st_mtime_ns for path in shards]
        shards[1].unlink()
        encoder.calls.clear()
        retriever.index(store_of(PASSAGES), tmp_path)
        assert encoder.calls == [[passage_text(passage) for passage in PASSAGES[20:40]]]
        assert retriever.search(QUERIES, 20) == before
        assert [path.stat().st_mtime_ns == time for path, time in zip(shards, times, strict=True)] == [True, False, True]

    def test_an_interrupted_encoding_goes_on(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path) -> None:
        encoder = CountingEncoder(minilm)
        encoder.fail_at_call = 2
        with pytest.raises(KeyboardInterrupt):
            DenseRetriever(encoder).index(store_of(PASSAGES), tmp_path)
        assert [path.name for path in (tmp_path / "dense").rglob("*") if path.is_file()] == ["shard-00000.npy"]
        encoder.calls.clear()
        encoder.fail_at_call = None
        DenseRetriever(encoder).index(store_of(PASSAGES), tmp_path)
        assert [len(texts) for texts in encoder.calls] == [20, 10]

    def test_other_passages_or_settings_share_nothing(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path) -> None:
        from convbench.backends.encoder import HFEncoder

        short = HFEncoder(minilm.profile.model_copy(update={"max_length": 8}), offline=True)
        for encoder, passages in ((minilm, PASSAGES[:5]), (minilm, PASSAGES[:4]), (short, PASSAGES[:5])):
            DenseRetriever(encoder).index(store_of(passages), tmp_path)
        assert len(list((tmp_path / "dense").iterdir())) == 3
