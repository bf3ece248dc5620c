"""Workers that neither work nor die: their processes are stopped."""

from __future__ import annotations

import logging
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from retrieval.cluster.cluster_work import (
    PATIENT,
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
from retrieval.cluster.held_encoder import HeldEncoder
from retrieval.cluster.local_cluster import LocalCluster
from retrieval.small_index import content, shards_of

from convbench.errors import ResourceError
from convbench.meter import Meter
from convbench.retrieval.engines.cluster.engine import ray_engine
from convbench.retrieval.exact import ExactSearcher

if TYPE_CHECKING:
    from convbench.datasets.store import ArrowPassageStore

pytest.importorskip("ray", reason="the engine on a cluster needs the package ray")
pytestmark = pytest.mark.slow

IMPATIENT = replace(PATIENT, slow=2, slow_seconds=2)


def is_there(pid: int) -> bool:
    """Whether a process is: one that has ended and that nobody asked about is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def stopped_over(folder: Path, count: int = 1) -> list[int]:
    """Stops the processes that have come to the word that an encoder is held at, once they are so many; their numbers come later."""
    (folder / "hold").touch()
    stopped: list[int] = []

    def stop() -> None:
        begun = until(lambda: len(found := list(folder.glob("begun-*"))) == count and found)
        for path in begun:
            stopped.append(int(path.name.partition("-")[2]))
            os.kill(stopped[-1], signal.SIGSTOP)
        (folder / "hold").unlink()

    meanwhile(stop)
    return stopped


class TestEncoding:
    def test_another_worker_is_free(
        self, cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        expected, counts = locally(tmp_path / "local", store)
        with ray_engine(settings(cluster, IMPATIENT), tmp_path) as engine, caplog.at_level(logging.WARNING):
            stopped, meter = stopped_over(tmp_path), Meter()
            engine.build(shards_in(tmp_path / "ray", store), store, HeldEncoder(tmp_path, "1533"), meter)
            record = engine.take_record()
            until(lambda: not is_there(stopped[0]))
        assert content(tmp_path / "ray") == expected
        assert counted(meter) == counts
        assert record["shards"] == {"done": SHARDS, "redone": 0, "twice": 1}
        assert re.search(
            rf"shard-00005\.npy takes long on node 127\.0\.0\.[34], worker {stopped[0]}: \d+ s, the median is \d+\.\d s", caplog.text
        )

    @pytest.mark.parametrize(("word", "shard", "pace"), [("1501", 0, "nothing is done yet"), ("1533", 5, "the median is")])
    def test_nobody_else_is_there(
        self,
        cluster: LocalCluster,
        store: ArrowPassageStore,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        word: str,
        shard: int,
        pace: str,
    ) -> None:
        expected, counts = locally(tmp_path / "local", store)
        asked = replace(settings(cluster, replace(IMPATIENT, first_seconds=8, hung_seconds=8)), workers=1)
        with ray_engine(asked, tmp_path) as engine, caplog.at_level(logging.WARNING):
            stopped, meter = stopped_over(tmp_path), Meter()
            engine.build(shards_in(tmp_path / "ray", store), store, HeldEncoder(tmp_path, word), meter)
            record = engine.take_record()
            until(lambda: not is_there(stopped[0]))
        assert content(tmp_path / "ray") == expected
        assert counted(meter) == counts
        assert record["shards"] == {"done": SHARDS, "redone": 1, "twice": 0}
        assert (record["workers"], record["lost"]) == (2, 1)
        assert re.search(rf"shard-0000{shard}\.npy takes long on node .*, worker {stopped[0]}: \d+ s, {pace}", caplog.text)
        assert re.search(rf"worker {stopped[0]} was lost \(shard-0000{shard}\.npy is not done after [89] s; --hung-after", caplog.text)

    def test_all_hang_at_once(self, cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path) -> None:
        """No processor is free before they are ended."""
        expected, counts = locally(tmp_path / "local", store)
        with ray_engine(settings(cluster, replace(IMPATIENT, first_seconds=8)), tmp_path) as engine:
            stopped, meter = stopped_over(tmp_path, 2), Meter()
            engine.build(shards_in(tmp_path / "ray", store), store, HeldEncoder(tmp_path, "15"), meter)
            assert len(stopped) == 2
            assert engine.take_record()["shards"] == {"done": SHARDS, "redone": 2, "twice": 0}
        assert content(tmp_path / "ray") == expected
        assert counted(meter) == counts

    def test_each_one_hangs(self, cluster: LocalCluster, store: ArrowPassageStore, tmp_path: Path) -> None:
        (tmp_path / "hold").touch()
        asked = replace(settings(cluster, IMPATIENT.with_hung_after(2)), workers=1)
        with (
            ray_engine(asked, tmp_path) as engine,
            pytest.raises(
                ResourceError, match=r"shard-00005\.npy: given up after 3 tries, the last one on node 127.* is not done after \d s"
            ),
        ):
            engine.build(shards_in(tmp_path / "ray", store), store, HeldEncoder(tmp_path, "1533"), Meter())
        left = shards_in(tmp_path / "ray", store)
        kept = [part.name for part in left.parts if not left.fault(part)]
        assert len(kept) >= 5
        assert "shard-00005.npy" not in kept


@pytest.mark.parametrize("workers", [1, 2])
def test_searching(cluster: LocalCluster, tmp_path: Path, workers: int) -> None:
    """With two, the free one does both ranges; with one, another takes its place. The worker that hangs is ended in the end."""
    placed = shards_of(tmp_path / "vectors", vectors_with_ties(5000), shard_rows=700)
    queries = vectors_with_ties(40)[7:]
    expected = ExactSearcher(placed, 1).nearest(queries, 90)
    asked = replace(settings(cluster, replace(IMPATIENT, first_seconds=8, hung_seconds=8)), workers=workers)
    with ray_engine(asked, tmp_path) as engine:
        searcher = ExactSearcher(placed, scan=engine.scan(placed))
        assert same(searcher.nearest(queries, 90), expected)
        assert engine._scanning is not None
        pool = engine._scanning[0]
        all_there(pool, workers)
        engine.take_record()
        victim = pool.workers[0].hello.pid
        os.kill(victim, signal.SIGSTOP)
        assert same(searcher.nearest(queries, 90), expected)
        record = engine.take_record()
        assert (record["ranges"]["redone"], record["ranges"]["twice"]) == ((1, 0) if workers == 1 else (0, 1))

        def ended() -> bool:
            assert same(searcher.nearest(queries, 90), expected)
            return not is_there(victim)

        until(ended)
