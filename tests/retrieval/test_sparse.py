from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from backends.checkpoints import change_tensors
from backends.masked import make_masked
from small_index import content, passages

from convbench.backends.sparse_encoder import SparseEncoder, SparseModelConfig
from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.retrieval.base import Found, Retriever
from convbench.retrieval.canonical import is_canonical
from convbench.retrieval.sparse import SparseRetriever
from convbench.types import Passage
from convbench.views.passages import passage_text
from convbench.views.query import Query

if TYPE_CHECKING:
    from conftest import StoreOf

PASSAGES = passages(60)
QUERIES = [Query.of("1_1", "who repaired the lamp"), Query.of("1_2", "what happened to the letters"), Query.of("1_3", "bridges in 1512")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_masked(tmp_path_factory.mktemp("splade") / "splade", bias=-4.0)


def encoder(folder: Path, **settings: Any) -> SparseEncoder:
    return SparseEncoder(SparseModelConfig(model=str(folder), device="cpu", **settings), offline=True)


def retriever(folder: Path, shard_rows: int = 25, **settings: Any) -> SparseRetriever:
    return SparseRetriever(encoder(folder, **settings), shard_rows=shard_rows)


def ids(found: Found) -> list[str]:
    return [passage_id for passage_id, _ in found.ranking.passages]


def brute_force(folder: Path, queries: list[str], **settings: Any) -> Any:
    """Inner products of all queries with all passages, as dense matrices."""
    both = encoder(folder, **settings)
    weights = both.encode_passages([passage_text(passage) for passage in PASSAGES], Meter()).weights.toarray().astype(np.float64)
    return both.encode_queries(queries, Meter()).weights.toarray().astype(np.float64) @ weights.T


@pytest.mark.parametrize("shard_rows", [7, 60, 8192])
@pytest.mark.parametrize("settings", [{}, {"query_terms": 4, "passage_terms": 6}])
@pytest.mark.parametrize("k", [1, 10, 1000])
def test_equals_the_matrix_product(
    store_of: StoreOf, folder: Path, tmp_path: Path, shard_rows: int, settings: dict[str, Any], k: int
) -> None:
    sparse = retriever(folder, shard_rows, **settings)
    sparse.index(store_of(PASSAGES), tmp_path, Meter())
    products = brute_force(folder, [query.text for query in QUERIES], **settings)
    for query, row, found in zip(QUERIES, products, sparse.search(QUERIES, k, Meter()), strict=True):
        order = [n for n in np.argsort(-row)[:k] if row[n] > 0]
        assert found.ranking.turn_id == query.turn_id
        np.testing.assert_allclose([score for _, score in found.ranking.passages], row[order], rtol=1e-5)
        assert len(found.ranking.passages) == len(order)
        by_id = {PASSAGES[n].id: row[n] for n in range(len(PASSAGES))}
        np.testing.assert_allclose([by_id[passage_id] for passage_id in ids(found)], row[order], rtol=1e-5)
        assert is_canonical(found.ranking)
    if settings and k == 1000:
        assert any(len(found.ranking.passages) < len(PASSAGES) for found in sparse.search(QUERIES, k, Meter()))


def test_shards_do_not_show(store_of: StoreOf, folder: Path, tmp_path: Path) -> None:
    found = []
    for shard_rows in (7, 1000):
        sparse = retriever(folder, shard_rows, batch_tokens=1)  # passage by passage, so that the weights are the same to the bit
        sparse.index(store_of(PASSAGES), tmp_path / str(shard_rows), Meter())
        found.append(sparse.search(QUERIES, 20, Meter()))
    assert found[0] == found[1]


@pytest.mark.parametrize("k", [2, 5])
def test_copies_of_a_passage_stand_by_id_descending(store_of: StoreOf, folder: Path, tmp_path: Path, k: int) -> None:
    copies = [Passage(f"copy {n}", PASSAGES[0].text, PASSAGES[0].title) for n in (2, 0, 3, 1)]
    sparse = retriever(folder, 2, batch_tokens=1)
    sparse.index(store_of([*copies[:3], *PASSAGES[1:9], copies[3]]), tmp_path, Meter())
    query = Query.of("1_1", passage_text(PASSAGES[0]))
    (every,), (best,) = (sparse.search([query], depth, Meter()) for depth in (12, k))
    scores = [score for passage_id, score in every.ranking.passages if passage_id.startswith("copy")]
    assert max(scores) == pytest.approx(min(scores), rel=1e-6)  # equal but for the steps that keep their order in a run file
    assert [each for each in ids(every) if each.startswith("copy")] == ["copy 3", "copy 2", "copy 1", "copy 0"]
    assert ids(best) == ids(every)[:k]


class TestSeveralTexts:
    TEXTS = ("who repaired the lamp", "the stone bridge", "who repaired an old lamp")

    def weights(self, folder: Path) -> Any:
        return encoder(folder).encode_queries(self.TEXTS, Meter()).weights.toarray()

    def found(self, folder: Path, store: Any, cache: Path, query: Query) -> Found:
        sparse = retriever(folder)
        sparse.index(store, cache, Meter())
        return sparse.search([QUERIES[1], query, QUERIES[0]], 60, Meter())[1]

    def test_their_mean(self, store_of: StoreOf, folder: Path, tmp_path: Path) -> None:
        found = self.found(folder, store_of(PASSAGES), tmp_path, Query("1_1", self.TEXTS))
        expected = brute_force(folder, list(self.TEXTS)).mean(axis=0)
        np.testing.assert_allclose([score for _, score in found.ranking.passages], np.sort(expected)[::-1], rtol=1e-5)
        tokens = encoder(folder).encode_queries(self.TEXTS, Meter()).tokens
        assert (found.tokens, found.cut) == (sum(tokens), 0)

    def test_the_one_that_agrees_most_with_it(self, store_of: StoreOf, folder: Path, tmp_path: Path) -> None:
        weights = self.weights(folder)
        nearest = int(np.argmax(weights @ weights.mean(axis=0)))
        found = self.found(folder, store_of(PASSAGES), tmp_path, Query("1_1", self.TEXTS, "self-consistency"))
        alone = self.found(folder, store_of(PASSAGES), tmp_path, Query.of("1_1", self.TEXTS[nearest]))
        assert found.ranking == alone.ranking


class TestConversations:
    """The session is written by history view and template; the encoder cuts it on the right, which is where the oldest utterance is."""

    def test_the_oldest_utterance_is_what_is_cut(self, store_of: StoreOf, folder: Path, tmp_path: Path) -> None:
        from convbench.views.session import SessionTemplate, Utterance

        said = [Utterance("user", "who painted the red boat"), Utterance("agent", "The miller painted it in 1503.")]
        session = SessionTemplate(separator=" ").write("and who sold it", said)
        newest = SessionTemplate(separator=" ").write("and who sold it", said[1:])
        length = encoder(folder).encode_queries([newest], Meter()).tokens[0]
        sparse = retriever(folder, query_tokens=length)
        sparse.index(store_of(PASSAGES), tmp_path, Meter())
        whole, cut = sparse.search([Query.of("1_3", session), Query.of("1_3", newest)], 60, Meter())
        assert whole.ranking == cut.ranking
        assert (whole.tokens, cut.cut) == (length, 0)
        assert whole.cut == encoder(folder).encode_queries([session], Meter()).tokens[0] - length


class TestIndexOnDisk:
    def test_it_is_built_once_and_mapped(self, store_of: StoreOf, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store, meter = store_of(PASSAGES), Meter()
        first = retriever(folder)
        first.index(store, tmp_path, meter)
        taken = meter.take()
        assert list(taken["phases"]) == ["index"]
        (built,) = (tmp_path / "sparse").iterdir()
        assert taken["indexes"] == {"sparse": sum(path.stat().st_size for path in built.glob("*.npy"))}
        assert list(taken["models"].values()) == list(encoder(folder).parameters.values())

        def refuse(*_: object) -> None:
            raise AssertionError("built again")

        monkeypatch.setattr(SparseEncoder, "encode_passages", refuse)
        second = retriever(folder, query_terms=50)  # a setting of queries needs no other index
        second.index(store, tmp_path, meter)
        assert meter.take()["phases"] == {}
        shard = second._postings._shard(0)
        for array in (shard.data, shard.indices, shard.indptr):
            while isinstance(array, np.ndarray):
                array = array.base
            assert isinstance(array, mmap.mmap)

    def test_a_killed_build_goes_on_and_ends_the_same(
        self, store_of: StoreOf, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = store_of(PASSAGES)
        retriever(folder).index(store, tmp_path / "whole", Meter())
        encode, calls = SparseEncoder.encode_passages, []

        def killed(self: SparseEncoder, texts: Any, meter: Meter) -> Any:
            calls.append(len(texts))
            if len(calls) == 2:
                raise KeyboardInterrupt
            return encode(self, texts, meter)

        monkeypatch.setattr(SparseEncoder, "encode_passages", killed)
        with pytest.raises(KeyboardInterrupt):
            retriever(folder).index(store, tmp_path / "killed", Meter())
        retriever(folder).index(store, tmp_path / "killed", Meter())
        assert calls == [25, 25, 25, 10]  # the first shard is not encoded again
        (whole,), (resumed,) = ((tmp_path / name / "sparse").iterdir() for name in ("whole", "killed"))
        assert content(whole) == content(resumed)

    def test_a_damaged_file_is_made_again(self, store_of: StoreOf, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        store = store_of(PASSAGES)
        retriever(folder).index(store, tmp_path, Meter())
        (built,) = (tmp_path / "sparse").iterdir()
        before = content(built)
        damaged = built / "shard-00001-weights.npy"
        damaged.write_bytes(damaged.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
        retriever(folder).index(store, tmp_path, Meter())
        assert content(built) == before
        assert "shard-00001-weights.npy: its content is not what was written: made again" in caplog.text

    @pytest.mark.parametrize("change", [{"passage_terms": 5}, {"passage_tokens": 12}])
    def test_other_settings_of_passages_have_another_index(
        self, store_of: StoreOf, folder: Path, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        store = store_of(PASSAGES[:9])
        retriever(folder).index(store, tmp_path, Meter())
        retriever(folder, **change).index(store, tmp_path, Meter())
        assert len(list((tmp_path / "sparse").iterdir())) == 2


def test_weights_that_are_not_finite_are_refused(store_of: StoreOf, folder: Path, tmp_path: Path) -> None:
    import shutil

    import torch
    from safetensors.torch import load_file

    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    bias = load_file(broken / "model.safetensors")["cls.predictions.bias"]
    bias[3] = torch.inf
    change_tensors(broken / "model.safetensors", **{"cls.predictions.bias": bias})
    with pytest.raises(UsageError, match=r"^passage 'p 0': the weight of a word is not finite; check the checkpoint"):
        retriever(broken).index(store_of(PASSAGES), tmp_path, Meter())
    both = retriever(folder, query_model=str(broken))
    both.index(store_of(PASSAGES), tmp_path, Meter())
    with pytest.raises(UsageError, match=r"^turn 1_1: the weight of a word is not finite"):
        both.search(QUERIES, 5, Meter())


def test_no_queries_and_the_protocol(store_of: StoreOf, folder: Path, tmp_path: Path) -> None:
    sparse = retriever(folder)
    assert isinstance(sparse, Retriever)
    sparse.check()
    sparse.index(store_of(PASSAGES), tmp_path, Meter())
    assert sparse.search([], 5, Meter()) == []
