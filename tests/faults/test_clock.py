"""A clock that goes backwards: no negative duration, nothing taken for fresh that is not, and the same end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import MINI, content_without_cost, fork, succeed
from mixed_run import Undisturbed, finish, mixed_command

from convbench.harness.results import read_results

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def durations(folder: Path) -> list[float]:
    """Every duration that a run writes down."""
    found: list[float] = []
    for execution in json.loads((folder / "run.json").read_text(encoding="utf-8"))["executions"]:
        found += execution.get("seconds", {}).values()
    found += [phase.seconds for phase in read_results(folder / "results.json").cost.phases]
    for path in folder.glob("stages/*.cost.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            found += [phase["seconds"] for phase in json.loads(line)["phases"].values()]
    return found


@pytest.mark.slow
def test_files_of_the_future(whole: Undisturbed, tmp_path: Path) -> None:
    """Killed, and gone on with after the clock was set back by ten years."""
    out, cache = tmp_path / "run", tmp_path / "cache"
    process = fork(tmp_path / "killed.log", *mixed_command(out, cache))
    while process.is_alive() and not any(out.glob("stages/search.jsonl")):
        time.sleep(0.001)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    later = time.time() + 10 * 365 * 86400
    for path in (*out.rglob("*"), *cache.rglob("*")):
        os.utime(path, (later, later))
    finish(out, cache)
    assert content_without_cost(out) == whole.content
    assert min(durations(out)) >= 0
    before = {path: path.stat().st_mtime_ns for path in out.glob("stages/*.jsonl")}
    finish(out, cache)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "a finished stage was made again"


def test_a_corpus_that_is_replaced_by_an_older_one(tmp_path: Path) -> None:
    """Its time lies before that of everything that was made of the first one, and its size is the same."""
    data = tmp_path / "data"
    shutil.copytree(MINI / "topiocqa", data)
    arguments = ("run", "bm25-query", "-d", "topiocqa", "--data", data, "--split", "mini", "--limit", 2, "--metrics", "retrieval")

    def collection(out: str) -> Any:
        succeed(*arguments, "--out", tmp_path / out, "--cache", tmp_path / "cache")
        return read_results(tmp_path / out / "results.json").dataset.collection_sha256

    first = collection("first")
    (corpus,) = (path for path in data.iterdir() if path.suffix == ".tsv")
    text = corpus.read_text(encoding="utf-8")
    corpus.write_text(text.replace(" the ", " teh ", 1), encoding="utf-8")
    os.utime(corpus, (1_000_000_000, 1_000_000_000))
    assert corpus.stat().st_size == len(text.encode())
    second = collection("second")
    assert second != first
    shutil.rmtree(tmp_path / "cache")
    assert collection("third") == second


@pytest.mark.slow
@pytest.mark.skipif(not LIBRARIES, reason="needs libfaketime (Debian: faketime), which moves the clock of a process")
def test_a_clock_that_jumps_back_within_a_run(whole: Undisturbed, tmp_path: Path) -> None:
    """An hour forward, then two days and a year back, while it works; then killed, and gone on with in the year 2001."""
    clock = tmp_path / "clock"
    environment = {
        **os.environ,
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    out, cache = tmp_path / "run", tmp_path / "cache"
    command = [sys.executable, "-c", "from convbench.cli.main import main; main()", *map(str, mixed_command(out, cache))]

    def begin(offset: str) -> subprocess.Popen[str]:
        clock.write_text(offset)
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with begin("+1h") as process:
        for pattern, offset in (("run.json", "-2d"), ("stages/rewrite.jsonl", "-365d"), ("stages/search.jsonl", "")):
            while process.poll() is None and not any(out.glob(pattern)):
                time.sleep(0.001)
            assert process.poll() is None
            if offset:
                clock.write_text(offset)
        process.kill()
    with begin("@2001-02-03 04:05:06") as process:
        said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert content_without_cost(out) == whole.content
    assert min(durations(out)) >= 0
    started = [execution["started"] for execution in json.loads((out / "run.json").read_text(encoding="utf-8"))["executions"]]
    assert started[1].startswith("2001-02-03"), "the clock was not moved"
    assert started[0] > started[1]
