from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError
from small_index import WordEncoder, content, passages

from convbench.errors import StorageError, UsageError
from convbench.meter import Meter
from convbench.retrieval.approximate import ApproximateSearcher
from convbench.retrieval.canonical import is_canonical
from convbench.retrieval.passage_index import IndexConfig, PassageIndex
from convbench.types import Ranking
from convbench.views.passages import passage_text

if TYPE_CHECKING:
    from conftest import StoreOf

    from convbench.datasets.store import ArrowPassageStore

PASSAGES = passages(400)
TURNS = [f"1_{number}" for number in range(1, 41)]
HNSW: dict[str, Any] = {"type": "hnsw", "m": 4, "ef_construction": 20, "ef_search": 10}
IVF_PQ: dict[str, Any] = {"type": "ivf-pq", "lists": 8, "subvectors": 8, "bits": 4, "probes": 2}
SQ8: dict[str, Any] = {"type": "sq8"}
KINDS = pytest.mark.parametrize("kind", [HNSW, IVF_PQ, SQ8], ids=lambda kind: kind["type"])


@pytest.fixture
def store(store_of: StoreOf) -> ArrowPassageStore:
    return store_of(PASSAGES)


def opened(
    kind: dict[str, Any], store: ArrowPassageStore, cache: Path, encoder: WordEncoder | None = None, **settings: Any
) -> PassageIndex:
    index = PassageIndex(IndexConfig(index=kind, **settings), shard_rows=90)
    index.open(store, encoder or WordEncoder(), cache, Meter())
    return index


def queries() -> np.ndarray:
    """Every tenth passage, a little off."""
    texts = [passage_text(PASSAGES[10 * number]) + " harbour" for number in range(len(TURNS))]
    return WordEncoder().encode_queries(texts, Meter()).vectors


def found_by(index: PassageIndex, k: int = 10) -> tuple[list[Ranking], dict[str, int]]:
    meter = Meter()
    with meter.phase("search"):
        rankings = index.search(TURNS, queries(), k, meter)
    return rankings, meter.take()["phases"].get("recall", {})


def ids(ranking: Ranking) -> list[str]:
    return [passage_id for passage_id, _ in ranking.passages]


@KINDS
class TestEveryKind:
    def test_it_finds_much_of_what_exact_search_finds_and_says_how_much(
        self, store: ArrowPassageStore, tmp_path: Path, kind: dict[str, Any]
    ) -> None:
        exact, _ = found_by(opened({"type": "exact"}, store, tmp_path))
        rankings, counted = found_by(opened(kind, store, tmp_path))
        assert [ranking.turn_id for ranking in rankings] == TURNS
        assert all(is_canonical(ranking) and len(ranking.passages) <= 10 for ranking in rankings)
        checked = [n for n, turn in enumerate(TURNS) if n == 0 or int(hashlib.sha256(turn.encode()).hexdigest(), 16) % 8 == 0]
        assert 1 < len(checked) < len(TURNS)
        assert counted["recall_of"] == 10 * len(checked)
        assert counted["recall_found"] == sum(len(set(ids(rankings[n])) & set(ids(exact[n]))) for n in checked)
        assert 0.3 < counted["recall_found"] / counted["recall_of"] <= 1

    def test_the_rankings_are_its_own(self, store: ArrowPassageStore, tmp_path: Path, kind: dict[str, Any]) -> None:
        assert found_by(opened(kind, store, tmp_path))[0] != found_by(opened({"type": "exact"}, store, tmp_path))[0] or kind == HNSW

    def test_building_is_reproducible_however_many_threads_there_are(
        self, store: ArrowPassageStore, tmp_path: Path, kind: dict[str, Any]
    ) -> None:
        import faiss

        before, built = faiss.omp_get_max_threads(), []
        try:
            for threads in (1, 4, 4):
                faiss.omp_set_num_threads(threads)
                cache = tmp_path / f"{len(built)}"
                opened(kind, store, cache)
                assert faiss.omp_get_max_threads() == threads
                (folder,) = (cache / "dense").iterdir()
                built.append(content(folder))
        finally:
            faiss.omp_set_num_threads(before)
        assert built[0] == built[1] == built[2]
        assert len([name for name in built[0] if name.startswith(kind["type"])]) == 1

    def test_it_is_built_once(
        self, store: ArrowPassageStore, tmp_path: Path, kind: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, _ = found_by(opened(kind, store, tmp_path))
        monkeypatch.setattr(ApproximateSearcher, "_build", None)
        assert found_by(opened(kind, store, tmp_path))[0] == first

    @pytest.mark.parametrize("damage", [b"", b"half an index", None])
    def test_a_damaged_file_is_built_again(
        self, store: ArrowPassageStore, tmp_path: Path, kind: dict[str, Any], damage: bytes | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, _ = found_by(opened(kind, store, tmp_path))
        (path,) = (tmp_path / "dense").rglob("*.faiss")
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]) if damage is None else damage)
        encoder = WordEncoder()
        with caplog.at_level(logging.WARNING):
            assert found_by(opened(kind, store, tmp_path, encoder))[0] == first
        assert [str(path) in message for message in caplog.messages] == [True]
        assert path.read_bytes() == before
        assert encoder.calls == []

    def test_other_vectors_make_another(self, store: ArrowPassageStore, tmp_path: Path, kind: dict[str, Any]) -> None:
        """A shard of other bytes, as another machine may compute them, does not go with an index of the old ones."""
        index = opened(kind, store, tmp_path)
        shards = index._exact._shards
        np.save(shards.path(shards.parts[1]), -np.load(shards.path(shards.parts[1])))
        shards.folder.record(shards.parts[1])
        opened(kind, store, tmp_path)
        assert len(list((tmp_path / "dense").rglob("*.faiss"))) == 2

    def test_sizes_and_phases(self, store: ArrowPassageStore, tmp_path: Path, kind: dict[str, Any]) -> None:
        meter = Meter()
        PassageIndex(IndexConfig(index=kind)).open(store, WordEncoder(), tmp_path, meter)
        taken = meter.take()
        files = [path for path in (tmp_path / "dense").rglob("*") if path.suffix in (".npy", ".faiss")]
        assert taken["indexes"] == {"dense": sum(path.stat().st_size for path in files)}
        assert list(taken["phases"]) == ["index"]

    def test_it_is_described(self, kind: dict[str, Any]) -> None:
        import faiss

        described = PassageIndex(IndexConfig(index=kind)).describe()["index"]
        assert described.items() >= {**kind, "faiss": faiss.__version__}.items()

    def test_killed_while_it_is_written(self, store: ArrowPassageStore, tmp_path: Path, kind: dict[str, Any]) -> None:
        import faiss

        def half(index: object, path: str) -> None:
            Path(path).write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)

        def work() -> None:
            faiss.write_index = half
            opened(kind, store, tmp_path)

        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join(30)
        assert process.exitcode == -signal.SIGKILL
        (folder,) = (tmp_path / "dense").iterdir()
        assert len(list(folder.glob(".*.tmp"))) == 1
        opened(kind, store, tmp_path)
        opened(kind, store, tmp_path / "undisturbed")
        (undisturbed,) = (tmp_path / "undisturbed" / "dense").iterdir()
        assert content(folder) == content(undisturbed)


def test_more_effort_finds_more_without_a_new_index(store: ArrowPassageStore, tmp_path: Path) -> None:
    for little, much in ((HNSW, {**HNSW, "ef_search": 400}), (IVF_PQ, {**IVF_PQ, "probes": 8})):
        low, high = (found_by(opened(kind, store, tmp_path))[1]["recall_found"] for kind in (little, much))
        assert low < high
    assert len(list((tmp_path / "dense").rglob("*.faiss"))) == 2
    opened({**HNSW, "m": 5}, store, tmp_path)
    assert len(list((tmp_path / "dense").rglob("*.faiss"))) == 3
    assert len(list((tmp_path / "dense").iterdir())) == 1


def test_the_first_query_of_every_call_is_checked(store: ArrowPassageStore, tmp_path: Path) -> None:
    index = opened(SQ8, store, tmp_path)
    unchecked = next(turn for turn in TURNS if int(hashlib.sha256(turn.encode()).hexdigest(), 16) % 8)
    meter = Meter()
    with meter.phase("search"):
        index.search([unchecked], queries()[:1], 7, meter)
    assert meter.take()["phases"]["recall"]["recall_of"] == 7


def test_fewer_found_than_asked_for(store: ArrowPassageStore, tmp_path: Path) -> None:
    """One list of eight does not hold 300 passages; faiss fills up with -1."""
    rankings, counted = found_by(opened({**IVF_PQ, "probes": 1}, store, tmp_path), k=300)
    assert all(0 < len(ranking.passages) < 300 for ranking in rankings)
    assert counted["recall_found"] < counted["recall_of"]


def test_more_asked_for_than_there_is(store: ArrowPassageStore, tmp_path: Path) -> None:
    rankings, counted = found_by(opened(SQ8, store, tmp_path), k=1000)
    assert {len(ranking.passages) for ranking in rankings} == {400}
    assert counted["recall_found"] == counted["recall_of"]


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_a_graph_with_all_candidates_scores_as_exact_search_does(store: ArrowPassageStore, tmp_path: Path, storage: str) -> None:
    rankings, _ = found_by(opened({**HNSW, "m": 32, "ef_search": 400}, store, tmp_path, storage=storage))
    exact, _ = found_by(opened({"type": "exact"}, store, tmp_path, storage=storage))
    for ours, theirs in zip(rankings, exact, strict=True):
        np.testing.assert_allclose([score for _, score in ours.passages], [score for _, score in theirs.passages], atol=1e-6)


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"lists": 401}, r"lists: 401 and bits: 4 need at least 401 passages, the collection has 400; set lists to at most 400"),
            (
                {"bits": 9},
                r"bits: 9 need at least 512 passages, the collection has 400; set .* bits to at most 8, or `index: \{type: exact\}`",
            ),
            ({"subvectors": 7}, r"subvectors: 7 does not divide the vectors' length 32; set it to 4"),
        ],
    )
    def test_it_is_refused_before_a_passage_is_encoded(
        self, store: ArrowPassageStore, tmp_path: Path, change: dict[str, int], words: str
    ) -> None:
        encoder = WordEncoder()
        with pytest.raises(UsageError, match=rf"^index ivf-pq: .*{words}"):
            opened({**IVF_PQ, **change}, store, tmp_path, encoder)
        assert encoder.calls == []

    def test_the_advice_works(self, store: ArrowPassageStore, tmp_path: Path) -> None:
        opened({**IVF_PQ, "lists": 400, "bits": 8, "subvectors": 4}, store, tmp_path)

    @pytest.mark.parametrize(
        "kind", [{"type": "annoy"}, {"type": "hnsw", "lists": 3}, {"type": "hnsw", "m": 0}, {"type": "exact", "m": 3}, {}]
    )
    def test_unknown_kinds_and_settings(self, kind: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            IndexConfig(index=kind)

    def test_a_disk_that_cannot_be_written_to(self, store: ArrowPassageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import faiss

        def full(*_: object) -> None:
            raise RuntimeError("Error in virtual size_t write: write error: No space left on device\nmore")

        monkeypatch.setattr(faiss, "write_index", full)
        with pytest.raises(StorageError, match=r"hnsw-[0-9a-f]{16}\.faiss: cannot write: .*No space left on device$"):
            opened(HNSW, store, tmp_path)


def test_a_small_collection_is_no_reason_for_warnings(store: ArrowPassageStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    opened(IVF_PQ, store, tmp_path)
    assert capfd.readouterr() == ("", "")
