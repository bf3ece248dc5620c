from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from small_index import WordEncoder, content, passages, shards_of

from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.retrieval import shard_build
from convbench.retrieval.exact import ExactSearcher
from convbench.retrieval.index_folder import IndexFolder
from convbench.retrieval.shard_build import build_shards
from convbench.retrieval.shards import Shards, Storage
from convbench.views.passages import passage_text

if TYPE_CHECKING:
    from conftest import StoreOf

    from convbench.backends.base import Vectors
    from convbench.backends.encoder import HFEncoder
    from convbench.datasets.store import ArrowPassageStore

PASSAGES = passages(50)
ROWS = 8
COUNT = 7
"""Shards of 8 that 50 passages take."""

SCRIPT = """
import sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from small_index import WordEncoder
from test_shards import build
from convbench.datasets.store import ArrowPassageStore
build(Path(sys.argv[3]), ArrowPassageStore(Path(sys.argv[2])), WordEncoder(before=lambda call: time.sleep(0.05)))
"""


def build(folder: Path, store: ArrowPassageStore, encoder: WordEncoder, storage: Storage = "float16", meter: Meter | None = None) -> Shards:
    shards = Shards(IndexFolder(folder, folder.parent / "digests"), len(store), encoder.dim, storage, ROWS)
    build_shards(shards, store, encoder, meter or Meter())
    return shards


def kill_self(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(work: Callable[[], object]) -> None:
    """Does something in a process that kills itself meanwhile."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture
def store(store_of: StoreOf) -> ArrowPassageStore:
    return store_of(PASSAGES)


@pytest.fixture
def whole(store: ArrowPassageStore, tmp_path: Path) -> dict[str, bytes]:
    """The files of a build that nothing disturbed."""
    build(tmp_path / "whole", store, WordEncoder())
    return content(tmp_path / "whole")


class TestBuild:
    @pytest.mark.parametrize("storage", ["float16", "float32"])
    def test_shards_hold_the_vectors(self, store: ArrowPassageStore, tmp_path: Path, storage: Storage) -> None:
        encoder = WordEncoder()
        shards = build(tmp_path / "index", store, encoder, storage)
        arrays = [np.load(shards.path(part)) for part in shards.parts]
        expected = WordEncoder().encode_passages([passage_text(passage) for passage in PASSAGES], Meter()).vectors
        assert [len(array) for array in arrays] == [8, 8, 8, 8, 8, 8, 2]
        assert all(array.dtype == storage for array in arrays)
        assert np.array_equal(np.concatenate(arrays), expected.astype(storage))
        assert [text for texts in encoder.calls for text in texts] == [passage_text(passage) for passage in PASSAGES]
        assert shards.bytes_on_disk == sum(path.stat().st_size for path in (tmp_path / "index").glob("*.npy"))

    def test_the_manifest_lists_every_shard(self, store: ArrowPassageStore, tmp_path: Path) -> None:
        from convbench.io.digests import file_sha256

        build(tmp_path / "index", store, WordEncoder())
        lines = [json.loads(line) for line in (tmp_path / "index" / "manifest.jsonl").read_text().splitlines()]
        assert [line["file"] for line in lines] == [f"shard-{number:05d}.npy" for number in range(COUNT)]
        assert [(line["rows"], line["dim"]) for line in lines] == [(8, 32)] * 6 + [(2, 32)]
        assert all(line["sha256"] == file_sha256(tmp_path / "index" / line["file"]) for line in lines)

    def test_a_finished_index_is_opened_without_a_write(self, store: ArrowPassageStore, tmp_path: Path) -> None:
        build(tmp_path / "index", store, WordEncoder())
        times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        encoder, meter = WordEncoder(), Meter()
        build(tmp_path / "index", store, encoder, meter=meter)
        assert encoder.calls == []
        assert meter.take()["phases"] == {}
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times

    def test_unchanged_shards_are_not_read_again(self, store: ArrowPassageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        build(tmp_path / "index", store, WordEncoder())

        def refuse(path: Path) -> str:
            raise AssertionError(f"{path} was read")

        monkeypatch.setattr("convbench.io.cache.file_sha256", refuse)
        build(tmp_path / "index", store, WordEncoder())

    def test_it_is_the_phase_index(self, store: ArrowPassageStore, tmp_path: Path) -> None:
        meter = Meter()
        build(tmp_path / "index", store, WordEncoder(), meter=meter)
        phases = meter.take()["phases"]
        assert list(phases) == ["index"]
        assert phases["index"]["tokens_in"] == sum(len(passage_text(passage).split()) for passage in PASSAGES)

    def test_what_is_encoded_together_does_not_show(
        self, store: ArrowPassageStore, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shard_build, "ENCODED_TOGETHER", 3)
        encoder = WordEncoder()
        build(tmp_path / "index", store, encoder)
        assert [len(texts) for texts in encoder.calls] == [3, 3, 2] * 6 + [2]
        assert content(tmp_path / "index") == whole


class TestInterruptedBuild:
    @pytest.mark.parametrize("shard", range(COUNT))
    def test_an_encoder_that_raises(self, store: ArrowPassageStore, tmp_path: Path, whole: dict[str, bytes], shard: int) -> None:
        def fail(call: int) -> None:
            if call == shard:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "index", store, WordEncoder(before=fail))
        names = sorted(path.name for path in (tmp_path / "index").glob("*.npy"))
        assert names == [f"shard-{number:05d}.npy" for number in range(shard)]
        encoder = WordEncoder()
        build(tmp_path / "index", store, encoder)
        assert len(encoder.calls) == COUNT - shard
        assert content(tmp_path / "index") == whole

    @pytest.mark.parametrize("shard", range(COUNT))
    @pytest.mark.parametrize("moment", ["encoding", "writing", "between shard and manifest"])
    def test_a_process_that_is_killed(
        self, store: ArrowPassageStore, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, shard: int, moment: str
    ) -> None:
        def write_half(handle, array: NDArray[np.float16]) -> None:
            if call.pop() == shard:
                handle.write(b"half")
                handle.flush()
                kill_self()
            save(handle, array)

        def kill_before_entry(self: IndexFolder, part) -> None:
            if part.name == f"shard-{shard:05d}.npy":
                kill_self()
            record(self, part)

        save, record, call = np.save, IndexFolder.record, list(range(COUNT))[::-1]
        encoder = WordEncoder(before=lambda number: kill_self() if moment == "encoding" and number == shard else None)
        with monkeypatch.context() as patch:
            if moment == "writing":
                patch.setattr(np, "save", write_half)
            elif moment == "between shard and manifest":
                patch.setattr(IndexFolder, "record", kill_before_entry)
            killed(partial(build, tmp_path / "index", store, encoder))
        assert bool(list((tmp_path / "index").glob(".*.tmp"))) == (moment == "writing")
        again = WordEncoder()
        build(tmp_path / "index", store, again)
        assert len(again.calls) == COUNT - shard
        assert content(tmp_path / "index") == whole

    @pytest.mark.parametrize("shards", [1, 4])
    def test_a_program_that_is_killed_from_outside(
        self, store: ArrowPassageStore, tmp_path: Path, whole: dict[str, bytes], shards: int
    ) -> None:
        command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(store.folder), str(tmp_path / "index")]
        process = subprocess.Popen(command)
        while len(list((tmp_path / "index").glob("*.npy"))) < shards:
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert "shard-00006.npy" not in content(tmp_path / "index")
        build(tmp_path / "index", store, WordEncoder())
        assert content(tmp_path / "index") == whole

    def test_leftovers_beside_a_finished_index_go_too(self, store: ArrowPassageStore, tmp_path: Path, whole: dict[str, bytes]) -> None:
        build(tmp_path / "index", store, WordEncoder())
        (tmp_path / "index" / ".shard-00003.npy.123.tmp").write_bytes(b"half")
        encoder = WordEncoder()
        build(tmp_path / "index", store, encoder)
        assert encoder.calls == []
        assert content(tmp_path / "index") == whole

    def test_of_two_at_once_the_second_waits(self, store: ArrowPassageStore, tmp_path: Path, whole: dict[str, bytes]) -> None:
        (tmp_path / "calls").mkdir()

        def note(call: int) -> None:
            (tmp_path / "calls" / f"{os.getpid()}-{call}").touch()
            time.sleep(0.01)

        start = multiprocessing.get_context("fork").Process
        both = [start(target=build, args=(tmp_path / "index", store, WordEncoder(before=note))) for _ in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join(30)
        assert [process.exitcode for process in both] == [0, 0]
        assert len(list((tmp_path / "calls").iterdir())) == COUNT
        assert content(tmp_path / "index") == whole


class TestDamage:
    @pytest.mark.parametrize("shard", [0, 3, COUNT - 1])
    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda path: path.unlink(), "missing"),
            (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), "not what was written"),
            (lambda path: path.write_bytes(path.read_bytes()[:-5]), "not what was written"),
            (lambda path: path.write_bytes(b""), "not what was written"),
            (lambda path: np.save(path, np.zeros((9, 32), dtype=np.float16)), "not what was written"),
        ],
        ids=["missing", "changed", "cut", "empty", "rows"],
    )
    def test_only_that_shard_is_encoded_again_and_named(
        self,
        store: ArrowPassageStore,
        tmp_path: Path,
        whole: dict[str, bytes],
        caplog: pytest.LogCaptureFixture,
        shard: int,
        damage: Callable[[Path], object],
        words: str,
    ) -> None:
        build(tmp_path / "index", store, WordEncoder())
        path = tmp_path / "index" / f"shard-{shard:05d}.npy"
        damage(path)
        encoder = WordEncoder()
        with caplog.at_level(logging.WARNING):
            build(tmp_path / "index", store, encoder)
        (warning,) = caplog.messages
        assert str(path) in warning
        assert words in warning
        assert encoder.calls == [[passage_text(passage) for passage in PASSAGES[8 * shard : 8 * shard + 8]]]
        assert content(tmp_path / "index") == whole

    @pytest.mark.parametrize(("field", "value"), [("rows", 7), ("dim", 31), ("sha256", "0" * 64)])
    def test_a_manifest_that_says_otherwise(
        self, store: ArrowPassageStore, tmp_path: Path, whole: dict[str, bytes], caplog: pytest.LogCaptureFixture, field: str, value: object
    ) -> None:
        build(tmp_path / "index", store, WordEncoder())
        manifest = tmp_path / "index" / "manifest.jsonl"
        lines = manifest.read_text().splitlines()
        lines[2] = json.dumps({**json.loads(lines[2]), field: value})
        manifest.write_text("\n".join(lines) + "\n")
        encoder = WordEncoder()
        build(tmp_path / "index", store, encoder)
        assert [len(texts) for texts in encoder.calls] == [8]
        assert ["shard-00002.npy" in message for message in caplog.messages] == [True]
        assert content(tmp_path / "index") == whole

    def test_a_listed_shard_of_another_shape(self, store: ArrowPassageStore, tmp_path: Path, whole: dict[str, bytes]) -> None:
        """Its digest fits, its line says 8 rows, but the file holds 9."""
        shards = build(tmp_path / "index", store, WordEncoder())
        np.save(shards.path(shards.parts[1]), np.zeros((9, 32), dtype=np.float16))
        shards.folder.record(shards.parts[1])
        encoder = WordEncoder()
        build(tmp_path / "index", store, encoder)
        assert len(encoder.calls) == 1
        assert content(tmp_path / "index") == whole

    @pytest.mark.parametrize("damage", ["", "{", "[]\n", "\x00", "é"])
    def test_a_manifest_that_cannot_be_read(self, store: ArrowPassageStore, tmp_path: Path, whole: dict[str, bytes], damage: str) -> None:
        build(tmp_path / "index", store, WordEncoder())
        (tmp_path / "index" / "manifest.jsonl").write_text(damage, encoding="latin-1")
        encoder = WordEncoder()
        build(tmp_path / "index", store, encoder)
        assert len(encoder.calls) == COUNT
        assert content(tmp_path / "index") == whole


class Broken(WordEncoder):
    """Gives one passage an impossible value."""

    def __init__(self, passage: int, value: float) -> None:
        super().__init__()
        self._text = passage_text(PASSAGES[passage])
        self._value = value

    def encode_passages(self, texts, meter):
        encoded = super().encode_passages(texts, meter)
        if self._text in texts:
            encoded.vectors[list(texts).index(self._text), 5] = self._value
        return encoded


class TestValuesThatCannotBeStored:
    @pytest.mark.parametrize("value", [65505, -65520, 7e4, np.inf, -np.inf, np.nan])
    def test_float16_names_the_passage_and_the_way_out(self, store: ArrowPassageStore, tmp_path: Path, value: float) -> None:
        with pytest.raises(
            UsageError, match=r"passage 'p 19': value 5 of its vector is .*float16.* up to 65504; set `storage: float32`"
        ) as error:
            build(tmp_path / "index", store, Broken(19, value))
        assert "\n" not in str(error.value)
        assert sorted(content(tmp_path / "index")) == ["manifest.jsonl", "shard-00000.npy", "shard-00001.npy"]

    @pytest.mark.parametrize(("value", "storage"), [(65504, "float16"), (-65504, "float16"), (7e4, "float32"), (1e-9, "float16")])
    def test_the_largest_and_the_smallest_pass(self, store: ArrowPassageStore, tmp_path: Path, value: float, storage: Storage) -> None:
        shards = build(tmp_path / "index", store, Broken(19, value), storage)
        assert np.load(shards.path(shards.parts[2]))[3, 5] == np.dtype(storage).type(value)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_float32_must_be_finite_too(self, store: ArrowPassageStore, tmp_path: Path, value: float) -> None:
        with pytest.raises(UsageError, match=r"passage 'p 19'.*check the checkpoint"):
            build(tmp_path / "index", store, Broken(19, value), "float32")


@pytest.mark.parametrize("block_bytes", [1, 4 * 3 * 2048, 1 << 30])
@pytest.mark.parametrize("shard_rows", [1000, 1024, 4096, 6000])
def test_blocks_are_the_vectors_in_order(tmp_path: Path, shard_rows: int, block_bytes: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((5000, 3), dtype=np.float32)
    shards = shards_of(tmp_path, vectors, shard_rows=shard_rows)
    blocks = [(start, block.copy()) for start, block in shards.blocks(shards.memory(block_bytes))]
    assert np.array_equal(np.concatenate([block for _, block in blocks]), vectors)
    assert [start for start, _ in blocks] == np.cumsum([0, *(len(block) for _, block in blocks[:-1])]).tolist()
    assert all(len(block) % 1024 == 0 for _, block in blocks[:-1])
    assert all(block.nbytes <= max(block_bytes, 1024 * 12) for _, block in blocks)


def storage_error(queries: Vectors, vectors: Vectors) -> NDArray[np.float64]:
    """e(q, p) of convbench.retrieval.shards, shape (queries, passages)."""
    each = np.maximum(2.0**-11 * np.abs(vectors.astype(np.float64)), 2.0**-25)
    return np.abs(queries.astype(np.float64)) @ each.T


def sum_error(queries: Vectors, vectors: Vectors) -> NDArray[np.float64]:
    """g(q, p)."""
    dim = vectors.shape[1]
    return dim * 2.0**-24 / (1 - dim * 2.0**-24) * (np.abs(queries.astype(np.float64)) @ np.abs(vectors.astype(np.float64)).T)


def check_order(folder: Path, queries: Vectors, vectors: Vectors) -> tuple[int, int]:
    """Checks the statement for every pair of passages and every query; how many pairs it decides, and how many of the rest swap."""
    half = vectors.astype(np.float16)
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    rounded = queries.astype(np.float64) @ half.astype(np.float64).T
    assert np.all(np.abs(exact - rounded) <= storage_error(queries, vectors) * (1 + 1e-9))
    found = {}
    for storage in ("float16", "float32"):
        searcher = ExactSearcher(shards_of(folder / storage, vectors, storage=storage))
        found[storage] = [np.argsort(neighbours.rows) for neighbours in searcher.nearest(queries, len(vectors))]  # row -> rank
    e, g = storage_error(queries, vectors), sum_error(queries, vectors) + sum_error(queries, half.astype(np.float32))
    decided = swapped = 0
    for query in range(len(queries)):
        gap = exact[query][:, None] - exact[query][None, :]
        sums = gap > e[query][:, None] + e[query][None, :]
        assert np.all((rounded[query][:, None] > rounded[query][None, :])[sums])
        sure = gap > (e + g)[query][:, None] + (e + g)[query][None, :]
        for ranks in (found["float16"][query], found["float32"][query]):
            assert np.all((ranks[:, None] < ranks[None, :])[sure])
        decided += int(sure.sum())
        swapped += int(((rounded[query][:, None] < rounded[query][None, :]) & (gap > 0)).sum())
    return decided, swapped


class TestOrderUnderFloat16:
    """Passages whose scores differ by more than the rounding bound stand in the same order as under float32."""

    @pytest.mark.parametrize("scale", [1.0, 1e-4, 1e3])
    def test_random_vectors(self, tmp_path: Path, scale: float) -> None:
        chance = np.random.default_rng(12)
        vectors = chance.standard_normal((600, 48), dtype=np.float32)
        vectors *= scale / np.linalg.norm(vectors, axis=1, keepdims=True)
        decided, _ = check_order(tmp_path, chance.standard_normal((10, 48), dtype=np.float32), vectors)
        assert decided > 0.97 * 10 * 600 * 599 / 2 if scale >= 1 else decided

    def test_near_ties(self, tmp_path: Path) -> None:
        """Groups of passages a hair apart, of values that round by the most there is: a half unit up or down."""
        chance = np.random.default_rng(13)
        centre = (1 + chance.integers(0, 1024, (60, 48)) / 1024).astype(np.float32) * 2.0 ** chance.integers(-18, 4, (60, 48))
        vectors = np.repeat(centre, 10, axis=0) * (1 + chance.choice([-1, 0, 0.98, 1, 1.02], (600, 48)) * 2.0**-11)
        decided, swapped = check_order(tmp_path, chance.standard_normal((10, 48), dtype=np.float32), vectors.astype(np.float32))
        assert decided
        assert swapped > 1000, "the vectors were to be near enough for storage to swap some"

    def test_the_bound_is_no_larger_than_it_must_be(self) -> None:
        vectors = np.full((1, 64), 1 + 2.0**-11, dtype=np.float32)  # between two halves: rounds to the even one, 1
        queries = np.ones((1, 64), dtype=np.float32)
        moved = np.abs(queries @ vectors.T - queries @ vectors.astype(np.float16).astype(np.float32).T)
        assert 0.999 * storage_error(queries, vectors) < moved <= storage_error(queries, vectors)

    def test_minilm(self, minilm: HFEncoder, tmp_path: Path) -> None:
        vectors = minilm.encode_passages([passage_text(passage) for passage in passages(200)], Meter()).vectors
        queries = minilm.encode_queries(["who repaired the old lamp", "what was painted in 1512", "the letters"], Meter()).vectors
        decided, _ = check_order(tmp_path, queries, vectors)
        assert decided > 0.9 * 3 * 200 * 199 / 2
