"""Two processes at once: the second is refused, or waits, and says for whom; what a dead one left keeps nobody out."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from command_line import content_without_cost, convbench, fork, succeed

FAST = ("--metrics", "retrieval")


def command(tmp_path: Path, out: str, cache: str = "cache") -> tuple[object, ...]:
    return ("run", "bm25-query", "-d", "topiocqa", "--limit", 2, *FAST, "--out", tmp_path / out, "--cache", tmp_path / cache, "--offline")


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[BaseProcess]:
    """A run that stands still in the middle of its work, with the lock of its folder."""
    process = fork(tmp_path / "first.log", *command(tmp_path, "run"))
    lock = tmp_path / "run" / ".lock"
    try:
        while process.is_alive() and not (lock.exists() and lock.read_text()):
            time.sleep(0.0005)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        assert lock.read_text().startswith(f"{process.pid} "), "it was over before it could be stopped"
        yield process
    finally:  # one that stands still would be waited for at the end of all tests
        process.kill()
        process.join()


def test_the_second_is_refused_with_the_pid_of_the_first_which_is_not_disturbed(stopped: BaseProcess, tmp_path: Path) -> None:
    for second in (command(tmp_path, "run"), command(tmp_path, "run", "another-cache")):
        refused = convbench(*second)
        assert refused.code == 2
        who = f"another process (pid {stopped.pid})"
        assert refused.error == f"{tmp_path / 'run'}: {who} is running in this folder; wait for it or choose another --out"
    assert stopped.pid is not None
    os.kill(stopped.pid, signal.SIGCONT)
    stopped.join(120)
    assert stopped.exitcode == 0
    succeed(*command(tmp_path, "whole"))
    assert content_without_cost(tmp_path / "run") == content_without_cost(tmp_path / "whole")
    assert (tmp_path / "run" / ".lock").read_text() == "", "a published folder names no process"


def test_the_lock_of_a_killed_process_blocks_nobody(stopped: BaseProcess, tmp_path: Path) -> None:
    stopped.kill()
    stopped.join()
    assert (tmp_path / "run" / ".lock").read_text().startswith(f"{stopped.pid} ")
    succeed(*command(tmp_path, "run"))
    executions = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["executions"]
    assert executions[-1]["status"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["stores/*/build.lock", "bm25/*/build.lock"])
def test_one_that_builds_the_same_waits_and_says_for_whom(lock: str, tmp_path: Path) -> None:
    """The folders are two, the cache is one."""
    succeed(*command(tmp_path, "whole", "whole-cache"))
    if not list((tmp_path / "whole-cache").glob(lock)):
        pytest.skip(f"nothing is locked as {lock}")
    first = fork(tmp_path / "first.log", *command(tmp_path, "first"))
    try:
        while first.is_alive() and not any(path.read_text() for path in (tmp_path / "cache").glob(lock)):
            time.sleep(0.0005)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGSTOP)
        held = [path.read_text() for path in (tmp_path / "cache").glob(lock)]
        assert any(held), "it was over before it could be stopped"
        (tmp_path / "second.log").touch()
        second = fork(tmp_path / "second.log", *command(tmp_path, "second"))
        said = f"another process (pid {first.pid}) is building"
        while second.is_alive() and said not in (tmp_path / "second.log").read_text(encoding="utf-8"):
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGCONT)
        for process in (first, second):
            process.join(120)
            assert process.exitcode == 0
    finally:  # one that stands still would be waited for at the end of all tests
        first.kill()
    assert said in (tmp_path / "second.log").read_text(encoding="utf-8")
    for name in ("first", "second"):
        assert content_without_cost(tmp_path / name) == content_without_cost(tmp_path / "whole")
