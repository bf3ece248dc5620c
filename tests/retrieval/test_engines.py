"""What of the engines needs no cluster."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_index import WordEncoder, shards_of

from convbench.cli.main import cli
from convbench.errors import DataError, ResourceError, StorageError, UsageError
from convbench.retrieval.engines.base import engine_in_use, using
from convbench.retrieval.engines.cluster.cluster import room
from convbench.retrieval.engines.cluster.connect import chosen_address, connected
from convbench.retrieval.engines.cluster.failure import Failure, answer
from convbench.retrieval.engines.cluster.nodes import Node, _compare, look
from convbench.retrieval.engines.cluster.searching import ranges
from convbench.retrieval.engines.cluster.surroundings import bare
from convbench.retrieval.engines.local import LocalEngine
from convbench.retrieval.scan import BlockScan, Top, merged, nothing

SMALLEST = 1
ROOT = Path(__file__).parents[2]


def best_of(chance: np.random.Generator, queries: int, k: int, first_row: int) -> Top:
    """The best of a part: descending scores of few kinds, some parts with fewer than k."""
    scores = -np.sort(-chance.integers(-2, 3, (queries, k)).astype(np.float32), axis=1)
    rows = first_row + np.argsort(chance.random((queries, k)), axis=1)
    short = chance.integers(0, k + 1)
    scores[:, short:], rows[:, short:] = -np.inf, -1
    return Top(scores, rows.astype(np.int64))


@pytest.mark.parametrize("seed", range(20))
def test_merging_does_not_depend_on_how_parts_are_grouped(seed: int) -> None:
    chance = np.random.default_rng(seed)
    queries, k, parts = int(chance.integers(1, 5)), int(chance.integers(1, 30)), int(chance.integers(1, 9))
    tops = [best_of(chance, queries, k, 100 * number) for number in range(parts)]
    one_by_one = nothing(queries, k)
    for top in tops:
        one_by_one = merged(one_by_one, top)
    cuts = sorted({0, parts, *chance.integers(0, parts + 1, 2).tolist()})
    grouped = nothing(queries, k)
    for start, end in pairwise(cuts):
        group = nothing(queries, k)
        for top in tops[start:end]:
            group = merged(group, top)
        grouped = merged(grouped, group)
    assert np.array_equal(grouped.rows, one_by_one.rows)
    assert grouped.scores.tobytes() == one_by_one.scores.tobytes()


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("rows", [1, 1024, 5000])
@pytest.mark.parametrize(("queries", "dim"), [(5, 8), (64, 96)])
def test_ranges_searched_apart_are_the_search_of_all(tmp_path: Path, workers: int, rows: int, queries: int, dim: int) -> None:
    """Whole numbers, so that many passages tie; 64 queries are multiplied as matrices, where the bits depend on the blocks."""
    chance = np.random.default_rng(rows)
    vectors, asked = chance.integers(-1, 2, (rows, dim)).astype(np.float32), chance.standard_normal((queries, dim)).astype(np.float32)
    shards, k = shards_of(tmp_path, vectors, shard_rows=700), min(60, rows)
    whole = BlockScan(shards, SMALLEST)
    expected = whole.top(asked, k)
    found = ranges(shards, SMALLEST, workers)
    assert [row for part in found for row in part] == list(range(rows))
    assert len(found) == min(workers, -(-rows // 1024))
    best, longest = nothing(queries, k), 0.0
    for part in found:
        scan = BlockScan(shards, SMALLEST, rows=part, memory=shards.memory(SMALLEST))
        best, longest = merged(best, scan.top(asked, k)), max(longest, scan.longest)
    assert np.array_equal(best.rows, expected.rows)
    assert best.scores.tobytes() == expected.scores.tobytes()
    assert longest == whole.longest


def test_the_local_engine_is_in_use_where_none_was_put_in_place() -> None:
    other = LocalEngine()
    assert engine_in_use().take_record() == {"name": "local"}
    with using(other):
        assert engine_in_use() is other
    assert engine_in_use() is not other


class TestAddresses:
    @pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head.cluster:6379", "[::1]:6379"])
    def test_addresses_of_clusters(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        assert chosen_address(address) == address
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert chosen_address(None) == address
        assert chosen_address("other:1") == "other:1"

    @pytest.mark.parametrize("address", ["local", "10.0.0.1", ":6379", "head:", "head:0", "head:65536", "head:٣", "http://head"])
    def test_what_is_no_address(self, address: str) -> None:
        with pytest.raises(UsageError, match=r"expected auto or HOST:PORT.*ray start --head"):
            chosen_address(address)

    def test_none_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        with pytest.raises(UsageError, match=r"which cluster\? Give --address.*RAY_ADDRESS.*ray start --head"):
            chosen_address(None)

    def test_auto_is_the_one_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ray would take it too, whatever it is."""
        monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
        assert chosen_address("auto") == "10.0.0.1:6379"
        monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
        with pytest.raises(UsageError, match="Ray Client"):
            chosen_address("auto")

    def test_a_client_is_outside_the_cluster(self) -> None:
        with pytest.raises(UsageError, match=r"ray://head:10001.*ray job submit"):
            chosen_address("ray://head:10001")

    def test_nobody_answers(self) -> None:
        pytest.importorskip("ray", reason="the engine on a cluster needs the package ray")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(ResourceError, match=rf"nothing answers at {address}.*ray start --head"), connected(address):
                pass


class TestCommandLine:
    def test_options_of_a_cluster_without_one(self) -> None:
        with pytest.raises(UsageError, match="--gpus-per-worker is for --engine ray, found --engine local"):
            CliRunner().invoke(
                cli, ["run", "bm25-query", "-d", "topiocqa", "--gpus-per-worker", "1"], catch_exceptions=False, standalone_mode=False
            )

    def test_without_the_package(self, tmp_path: Path) -> None:
        (tmp_path / "ray.py").write_text("raise ImportError('not here')\n")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "RAY_ADDRESS": "127.0.0.1:1"}
        program = "from convbench.cli.main import main; main()"
        command = [sys.executable, "-c", program, "run", "bm25-query", "-d", "topiocqa", "--engine", "ray", "--out", str(tmp_path / "out")]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == ResourceError.exit_code
        assert done.stderr.strip().splitlines()[-1].endswith("--engine ray needs the package ray: pip install 'convbench[ray]'")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cpus", "gpus", "expected"), [(1, 0, 12), (4, 0, 3), (8, 0, 1), (9, 0, 0), (1, 1, 2), (1, 0.5, 4), (8, 1, 1), (1, 3, 0)]
)
def test_how_many_workers_nodes_take(cpus: float, gpus: float, expected: int) -> None:
    assert room([Node("a", "10.0.0.1", 8, 2), Node("b", "10.0.0.2", 4, 0)], cpus, gpus) == expected


class TestFailures:
    def test_errors_travel_as_values(self) -> None:
        def broken() -> None:
            raise DataError("store/x.arrow", "not the file that was written", line=3)

        found = answer(broken)
        assert isinstance(found, Failure)
        assert type(found.error()) is DataError
        assert str(found.error()) == "store/x.arrow:3: not the file that was written"
        placed = answer(broken, where="10.0.0.1")
        assert isinstance(placed, Failure)
        assert str(placed.error()).startswith("node 10.0.0.1: store/x.arrow:3")

    def test_a_full_disk(self) -> None:
        def full() -> None:
            raise OSError(28, "No space left on device", "shard-00001.npy")

        found = answer(full)
        assert isinstance(found, Failure)
        assert isinstance(found.error(), StorageError)
        assert "the disk is full" in str(found.error())

    def test_a_fault_of_the_program_is_raised(self) -> None:
        with pytest.raises(ZeroDivisionError):
            answer(lambda: 1 // 0)


def test_a_node_that_does_not_see_the_folder(tmp_path: Path) -> None:
    assert look(str(tmp_path / "elsewhere" / "mark"), "node")[0] == "no such file or directory"
    (tmp_path / "mark").write_text("other", encoding="utf-8")
    assert look(str(tmp_path / "mark"), "node")[0] == "it holds another file"


class TestSharing:
    NODES = (Node("a", "10.0.0.1", 8, 0), Node("b", "10.0.0.2", 8, 0))

    def answers(self, folder: Path, **said: tuple[str, str] | None) -> Path:
        for name in said:
            (folder / f"mark-{name}").write_text(name, encoding="utf-8")
        return folder / "mark"

    def test_all_share_it(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        said = {"a": ("", "one kind"), "b": ("", "one kind")}
        _compare(said, self.NODES, self.answers(tmp_path, **said))
        assert not caplog.messages

    @pytest.mark.parametrize(
        ("said", "fault"),
        [
            ({"a": ("", "x"), "b": ("no such file or directory", "x")}, r"10\.0\.0\.2 .*: no such file or directory; give --cache"),
            ({"a": ("", "x")}, r"10\.0\.0\.2 .*: it did not answer"),
        ],
    )
    def test_one_does_not(self, tmp_path: Path, said: dict[str, tuple[str, str]], fault: str) -> None:
        with pytest.raises(ResourceError, match=fault):
            _compare(said, self.NODES, self.answers(tmp_path, **said))

    def test_what_one_writes_goes_elsewhere(self, tmp_path: Path) -> None:
        said = {"a": ("", "x"), "b": ("", "x")}
        asked = self.answers(tmp_path, **said)
        (tmp_path / "mark-a").unlink()
        with pytest.raises(ResourceError, match=r"node 10\.0\.0\.1 .*what it writes there does not arrive here"):
            _compare(said, self.NODES, asked)

    def test_a_lost_node_and_processors_of_two_kinds_are_named(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        _compare({"a": ("", "x"), "b": None}, self.NODES, self.answers(tmp_path, a=("", "x")))
        assert caplog.messages == ["node 10.0.0.2 is lost: left out"]
        caplog.clear()
        said = {"a": ("", "one kind"), "b": ("", "other kind")}
        _compare(said, self.NODES, self.answers(tmp_path, **said))
        assert ["one kind" in message and "other kind" in message for message in caplog.messages] == [True]


def test_workers_get_encoders_without_what_they_loaded() -> None:
    from functools import cached_property

    class Loading(WordEncoder):
        @cached_property
        def weights(self) -> list[int]:
            return [1]

    encoder = Loading()
    assert encoder.weights == [1]
    copied = bare(encoder)
    assert "weights" not in vars(copied)
    assert encoder.weights == [1]
    assert copied.describe() == encoder.describe()
