"""A head that is lost while a command needs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from retrieval.cluster.cluster_work import PASSAGES, locally, shards_in, until
from retrieval.cluster.local_cluster import LocalCluster
from retrieval.small_index import WordEncoder, content

from convbench.errors import ResourceError
from convbench.meter import Meter
from convbench.retrieval.shard_build import build_shards

if TYPE_CHECKING:
    from conftest import StoreOf

pytest.importorskip("ray", reason="the engine on a cluster needs the package ray")
pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[2]
SECONDS = 45
"""Ray itself would end the process after a minute, with a line of its own."""


@pytest.fixture
def started() -> Iterator[LocalCluster]:
    cluster = LocalCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def drive(folder: Path, cluster: LocalCluster) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "retrieval.cluster.driver", "work", str(folder), cluster.address]
    with (folder / "said").open("w") as said:
        return subprocess.Popen(program, env={**os.environ, "PYTHONPATH": str(TESTS)}, stdout=said, stderr=said)


@pytest.mark.parametrize(
    ("searching", "done", "says"),
    [
        (False, signal.SIGKILL, r"the head of the Ray cluster is lost: nothing answers at {address} "),
        (True, signal.SIGSTOP, r"the head of the Ray cluster is lost: what listens at {address} .* does not answer, "),
        (True, None, r"(the Ray node of this process is lost: nothing answers at 127\.0\.0\.2:|the command was ended .*by Ray)"),
    ],
    ids=["killed while encoding", "stopped while searching", "its whole node killed while searching"],
)
def test_the_command_ends_with_a_line(
    started: LocalCluster, store_of: StoreOf, tmp_path: Path, searching: bool, done: signal.Signals | None, says: str
) -> None:
    store = store_of(PASSAGES)
    (tmp_path / "store").symlink_to(store.folder.absolute())
    if not searching:
        (tmp_path / "hold").touch()
    driver = drive(tmp_path, started)
    try:
        until(lambda: list(tmp_path.glob("searched-*" if searching else "begun-*")), 120)
        begun = time.monotonic()
        if done:
            os.kill(started.head_process(), done)
        else:
            started.kill_node("127.0.0.2")
        code = driver.wait(SECONDS)
        assert code == ResourceError.exit_code or (not done and code), (tmp_path / "said").read_text()
        assert not done or time.monotonic() - begun > 15, "a head may be away for a moment"
    finally:
        driver.kill()
        driver.wait()
    until(lambda: "error: " in (tmp_path / "said").read_text(), 5)
    lines = (tmp_path / "said").read_text().strip().splitlines()
    assert re.match("error: " + says.format(address=started.address), lines[-1]), lines
    assert lines[-1].endswith("finished work is kept: start the cluster again, and the same command goes on")
    if not searching:
        left = shards_in(tmp_path / "ray", store)
        kept = [part for part in left.parts if not left.fault(part)]
        assert len(kept) >= 5
        build_shards(left, store, WordEncoder(), Meter())
    assert content(tmp_path / "ray") == locally(tmp_path / "local", store)[0]


def test_ended_by_other_hands(cluster: LocalCluster, store_of: StoreOf, tmp_path: Path) -> None:
    """As Ray ends a process whose node is lost: at once, and without a word."""
    (tmp_path / "store").symlink_to(store_of(PASSAGES).folder.absolute())
    (tmp_path / "hold").touch()
    driver = drive(tmp_path, cluster)
    until(lambda: list(tmp_path.glob("begun-*")), 120)
    driver.kill()
    driver.wait()
    until(lambda: re.search("^error: the command was ended from outside, .* goes on$", (tmp_path / "said").read_text(), re.MULTILINE), 5)
