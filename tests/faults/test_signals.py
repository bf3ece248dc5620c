"""Ctrl-C and SIGTERM in every phase: a clean stop with its exit code, one line that says how to go on, and the same end."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from backends.chat_server import Asked, ChatServer, Reply, chat_server, completion
from command_line import _FORKS, _forked, content_without_cost, heed_control_c
from mixed_run import Undisturbed, finish, leftovers, mixed_command, phase

STOPPED = "interrupted; finished work is kept, run the same command again to go on"
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def heeding(log: str, arguments: list[str]) -> None:
    """Tests in the background of a shell ignore Ctrl-C, and what they start would too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _forked(log, arguments)


def begin(log: Path, *arguments: object) -> multiprocessing.process.BaseProcess:
    process = _FORKS.Process(target=heeding, args=(str(log), [*map(str, arguments)]), daemon=True)
    process.start()
    return process


def signalled(number: signal.Signals, moment: Callable[[], bool], out: Path, cache: Path) -> bool:
    """Sends a signal at a moment and checks the stop; False where the run was over before it could come."""
    log = out.with_name(f"{out.name}.stopped.log")
    process = begin(log, "--quiet", *mixed_command(out, cache))
    while process.is_alive() and not moment():
        time.sleep(0.0005)
    if process.is_alive():
        assert process.pid is not None
        os.kill(process.pid, number)
    process.join(120)
    said = [line for line in log.read_text(encoding="utf-8").splitlines() if line]
    if process.exitcode == 0:
        return False
    assert process.exitcode == CODES[number], said
    assert said[-1] == STOPPED
    assert "Traceback" not in "".join(said)
    if (out / "run.json").exists():
        last = json.loads((out / "run.json").read_text(encoding="utf-8"))["executions"][-1]
        assert last["status"] in ("failed", "finished")  # finished: the report was not
        assert last["status"] == "finished" or last["error"] == "interrupted"
    assert [name for name in leftovers(out) if name.endswith(".tmp")] == []
    return True


def appears(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


CACHED = ("stores/*/passages-*", "bm25/*", "dense/*/shard-*.npy")
WRITTEN = ("stages/view.jsonl", "stages/search.cost.jsonl", "stages/generate.*.part", "stages/score-*", "scores.jsonl", "report.md")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "pattern", ["stages/generate.*.part", *(pytest.param(each, marks=pytest.mark.slow) for each in (*CACHED, *WRITTEN))]
)
def test_a_clean_stop(whole: Undisturbed, tmp_path: Path, number: signal.Signals, pattern: str) -> None:
    for attempt in range(10):
        out, cache = tmp_path / f"run-{attempt}", tmp_path / f"cache-{attempt}"
        stopped = signalled(number, partial(appears, cache if pattern in CACHED else out, pattern), out, cache)
        came = phase(out, cache)
        finish(out, cache)
        assert content_without_cost(out) == whole.content, came
        if stopped:
            return
    assert pattern == "report.md", f"never stopped at {pattern}"  # next to nothing comes after it


@pytest.fixture
def slow_server() -> Iterator[tuple[ChatServer, list[float]]]:
    """A chat server, and how long it takes for an answer."""
    with chat_server() as running:
        takes = [0.0]

        def answer(asked: Asked) -> Reply:
            time.sleep(takes[0])
            return completion(f"It was {len(asked.body['messages'][-1]['content'])}.")

        running.answer = answer
        yield running, takes


@pytest.mark.slow
def test_the_second_ends_it_at_once(slow_server: tuple[ChatServer, list[float]], tmp_path: Path) -> None:
    """The first waits for answers that are under way, as they are paid for; after the second the same command goes on all the same."""
    server, takes = slow_server
    model = {"base_url": server.url, "parallel": 2}
    settings = [part for name, value in model.items() for part in ("--set", f"generator.model.{name}={value}")]
    arguments = ["run", "bm25-server", "-d", "topiocqa", "--limit", 1, "--metrics", "token-f1", "--offline", *settings]
    environment = {**os.environ, "CONVBENCH_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", "from convbench.cli.main import main; main()", *map(str, arguments)]
    takes[0] = 30.0
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")], env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heed_control_c
    )
    while process.poll() is None and not server.asked:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert said.splitlines()[-1] == STOPPED
    assert "Traceback" not in said
    takes[0] = 0.0
    for name in ("run", "whole"):
        done = subprocess.run([*command, "--out", str(tmp_path / name)], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    for name in ("turns.jsonl", "retrieval.trec", "scores.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_second_ends_it_where_nobody_reads_any_more() -> None:
    """Ctrl-C reaches the other end of a pipe as well, which is gone by then."""
    code = """
import os, signal
from convbench.cli.stopping import Stopping
with Stopping().heeded():
    for _ in range(2):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            pass
os._exit(7)
"""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stderr=writer, preexec_fn=heed_control_c)
    os.close(writer)
    assert done.returncode == 130


@pytest.mark.parametrize("number", CODES)
def test_one_that_comes_while_an_object_ends_is_heeded_as_well(number: signal.Signals) -> None:
    code = f"""
import os, time
from convbench.cli import main
class Ends:
    def __del__(self):
        os.kill(os.getpid(), {int(number)})
        for _ in range(1000):
            pass
def command(**_):
    Ends()
    time.sleep(20)
main.cli.main = command
main.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, preexec_fn=heed_control_c)
    assert (done.returncode, done.stderr) == (CODES[number], f"{STOPPED}\n")


def test_a_signal_that_was_ignored_from_the_start_stays_ignored() -> None:
    block = "with Stopping().heeded(): os.kill(os.getpid(), signal.SIGINT)"
    code = f"import signal, os; from convbench.cli.stopping import Stopping\n{block}\nprint('on')"
    ignore = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=ignore)
    assert (done.returncode, done.stdout) == (0, "on\n")


def test_handlers_are_as_before_where_no_signal_came() -> None:
    from convbench.cli.stopping import Stopping

    before = [sys.unraisablehook, *(signal.getsignal(number) for number in CODES)]
    with Stopping().heeded():
        assert signal.getsignal(signal.SIGTERM) != before[2]
    assert [sys.unraisablehook, *(signal.getsignal(number) for number in CODES)] == before
