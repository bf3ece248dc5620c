"""Runs that are killed end, run again, with what a run that was not has, times apart, and nothing finished is computed twice."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest
from backends.small import folder_of
from command_line import MINI, completed, content_without_cost, convbench, fork, start, succeed

from convbench.io.digests import file_sha256

METRICS = ("--metrics", "retrieval,rouge,token-f1,bertscore")
COPIES = 5

Moment = Callable[[Path, Path], bool]
"""Whether to kill now, given the run folder and the cache."""


@dataclass(frozen=True)
class Command:
    """A ``convbench run`` without its places, and what it gives when nothing disturbs it."""

    arguments: tuple[object, ...]
    base: Path

    @property
    def warm(self) -> Path:
        """A cache that has everything."""
        return self.base / "cache"

    @cached_property
    def undisturbed(self) -> tuple[dict[str, Any], float]:
        """What the undisturbed run has, and how long it took with an empty cache."""
        started = time.monotonic()
        self.finish(self.base / "run", self.warm)
        return content_without_cost(self.base / "run"), time.monotonic() - started

    def begin(self, folder: Path, cache: Path):
        return fork(self.base / f"{folder.name}.log", *self.arguments, "--out", folder, "--cache", cache, "--offline")

    def finish(self, folder: Path, cache: Path) -> None:
        process = self.begin(folder, cache)
        process.join(timeout=120)
        assert process.exitcode == 0, (self.base / f"{folder.name}.log").read_text(encoding="utf-8")

    def kill(self, folder: Path, cache: Path, moment: Moment) -> bool:
        """Starts it and kills it at a moment; False where it was done before."""
        process = self.begin(folder, cache)
        while process.is_alive() and not moment(folder, cache):
            time.sleep(0.001)
        process.kill()
        process.join()
        return process.exitcode == -signal.SIGKILL

    def check_killed(self, folder: Path, cache: Path, moment: Moment) -> bool:
        """Kills it at a moment, runs it to the end, compares."""
        whole, _ = self.undisturbed
        killed = self.kill(folder, cache, moment)
        kept = finished_stages(folder)
        self.finish(folder, cache)
        assert content_without_cost(folder) == whole
        after = finished_stages(folder)
        assert {name: after[name] for name in kept} == kept, "a finished stage was made again"
        assert leftovers(folder) == []
        return killed


def finished_stages(folder: Path) -> dict[str, tuple[int, int]]:
    """Stage -> inode and modification time of its finished rows."""
    found = {}
    for path in folder.glob("stages/*.manifest.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        rows = path.with_name(f"{manifest['stage']}.jsonl")
        if rows.exists() and file_sha256(rows) == manifest["sha256"]:
            found[manifest["stage"]] = (rows.stat().st_ino, rows.stat().st_mtime_ns)
    return found


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.endswith((".tmp", ".part"))]


def every_byte(folder: Path) -> dict[str, bytes]:
    """All files but the one that says when the run was executed."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def after(seconds: float) -> Moment:
    end = time.monotonic() + seconds
    return lambda folder, cache: time.monotonic() >= end


def appears(name: str, least: int, folder: Path, cache: Path) -> bool:
    """Whether a file of the run has so many bytes."""
    return any(path.stat().st_size >= least for path in folder.glob(name))


def built(name: str, folder: Path, cache: Path) -> bool:
    """Whether there is such a file or folder in the cache."""
    return any(cache.glob(name))


def slowly(*values: object) -> list[object]:
    """Parameters that only the long test run takes."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Command]:
    """The commands that are killed: two with every metric, one that is quick, and one with many batches."""
    data = repeated(tmp_path_factory.mktemp("data"))
    arguments = {
        "bm25-rewrite": ("bm25-rewrite", *METRICS),
        "minilm-history": ("minilm-history", "--limit", 2, *METRICS),
        "quick": ("bm25-rewrite", "--metrics", "retrieval,rouge"),
        "long": ("bm25-history", "--data", data, "--split", "mini", "--metrics", "retrieval"),
    }
    return {name: Command(("run", "-d", "topiocqa", *more), tmp_path_factory.mktemp(name)) for name, more in arguments.items()}


def repeated(folder: Path) -> Path:
    """The mini set several times over under new numbers, so that stages have many batches."""
    lines = (MINI / "topiocqa" / "topiocqa_mini.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    last = max(record["Conversation_no"] for record in records)
    with (folder / "topiocqa_mini.jsonl").open("w", encoding="utf-8") as handle:
        for copy, record in itertools.product(range(COPIES), records):
            handle.write(json.dumps({**record, "Conversation_no": record["Conversation_no"] + copy * last}) + "\n")
    return folder


@pytest.mark.parametrize(
    ("system", "part"),
    [
        ("bm25-rewrite", 0.2),
        pytest.param("bm25-rewrite", 0.5, marks=pytest.mark.slow),
        ("bm25-rewrite", 0.8),
        pytest.param("minilm-history", 0.3, marks=pytest.mark.slow),
        pytest.param("minilm-history", 0.7, marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_time(commands, system, part, tmp_path):
    """With an empty cache, so that the passage store, the index and the encoding are hit too."""
    command = commands[system]
    _, seconds = command.undisturbed
    command.check_killed(tmp_path / "run", tmp_path / "cache", after(part * seconds))


SCORED = "score-convgqr-line.1-retrieval"


@pytest.mark.parametrize("stage", ["search", "generate", SCORED, *slowly("view", "rewrite", "score-response-overlap.1-rouge")])
def test_killed_when_a_stage_is_finished(commands, stage, tmp_path):
    command = commands["quick"]
    assert command.check_killed(tmp_path / "run", command.warm, partial(appears, f"stages/{stage}.jsonl", 1))


@pytest.mark.parametrize("name", ["turns.jsonl", "scores.jsonl", *slowly("run.json", "retrieval.trec", "results.json", "report.md")])
def test_killed_when_a_file_is_written(commands, name, tmp_path):
    command = commands["quick"]
    command.check_killed(tmp_path / "run", command.warm, partial(appears, name, 0))


@pytest.mark.parametrize("name", ["stores/*/passages-*/*", "bm25", *slowly("stores/*", "stores/*/manifest.json", "bm25/[!.]*")])
def test_killed_while_the_index_is_built(commands, name, tmp_path):
    command = commands["quick"]
    assert command.check_killed(tmp_path / "run", tmp_path / "cache", partial(built, name))


@pytest.mark.parametrize("name", ["dense/*/*", *slowly("dense")])
def test_killed_while_passages_are_encoded(commands, name, tmp_path):
    command = commands["minilm-history"]
    assert command.check_killed(tmp_path / "run", tmp_path / "cache", partial(built, name))


def part_sizes(command: Command, stage: str, batch: int) -> list[int]:
    """How many bytes the part of a stage has after each of its batches but the last."""
    lines = command.undisturbed[0][f"stages/{stage}.jsonl"].splitlines(keepends=True)
    return list(itertools.accumulate(len(b"".join(lines[at : at + batch])) for at in range(0, len(lines), batch)))[:-1]


def test_killed_when_a_part_has_so_many_bytes(commands, tmp_path):
    command = commands["long"]
    sizes = part_sizes(command, "generate", 32)
    assert len(sizes) == (56 * COPIES - 1) // 32
    for number in (0, len(sizes) // 2):
        folder = tmp_path / f"run-{number}"
        assert command.kill(folder, command.warm, partial(appears, "stages/generate.*.part", sizes[number]))
        (part,) = folder.glob("stages/generate.*.part")
        assert part.stat().st_size >= sizes[number]
        before = part.stat().st_ino
        command.finish(folder, command.warm)
        assert content_without_cost(folder) == command.undisturbed[0]
        assert (folder / "stages" / "generate.jsonl").stat().st_ino == before, "the part was not gone on with"


@pytest.mark.parametrize("history", ["full", pytest.param("full-own", marks=pytest.mark.slow)])
def test_a_unified_system_is_killed_between_conversations(history, tmp_path):
    """What was read of earlier conversations is gone after a kill; what is left to read does not need it."""
    one = ("--set", "conversations=1", "--set", "decoding.max_new_tokens=8", "--profile", "decoder", "--history", history)
    command = Command(("run", folder_of("llama"), "-d", "topiocqa", "--metrics", "retrieval,rouge", *one), tmp_path)
    whole, _ = command.undisturbed
    (name,) = (name for name in whole if name.startswith("stages/") and "score" not in name)
    rows = whole[name].splitlines(keepends=True)
    for number in (1, len(rows) // 2):
        folder = tmp_path / f"killed-{number}"
        moment = partial(appears, name.replace(".jsonl", ".*.part"), len(b"".join(rows[:number])))
        assert command.check_killed(folder, command.warm, moment)


def test_killed_again_and_again(commands, tmp_path):
    """Every execution gets a little further than the one before, or not even that."""
    command = commands["long"]
    whole, _ = command.undisturbed
    sizes = part_sizes(command, "generate", 32)
    for size in sizes[::3]:
        assert command.kill(tmp_path / "run", command.warm, partial(appears, "stages/generate.*.part", size))
    command.finish(tmp_path / "run", command.warm)
    assert content_without_cost(tmp_path / "run") == whole
    executions = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["executions"]
    assert [execution["status"] for execution in executions] == ["running"] * len(sizes[::3]) + ["finished"]
    assert leftovers(tmp_path / "run") == []


@pytest.mark.slow
def test_killed_in_a_process_from_a_fresh_interpreter(commands, tmp_path):
    """The other kills hit forks, which share their imports; this one is a command as the shell starts it."""
    command = commands["quick"]
    places = ("--out", tmp_path / "run", "--cache", tmp_path / "cache", "--offline")
    process = start(*command.arguments, *places)
    while process.poll() is None and not appears("stages/search.jsonl", 1, tmp_path / "run", tmp_path / "cache"):
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    kept = finished_stages(tmp_path / "run")
    assert "search" in kept
    finished = completed(start(*command.arguments, *places))
    assert finished.code == 0, finished.err
    assert content_without_cost(tmp_path / "run") == command.undisturbed[0]
    after_all = finished_stages(tmp_path / "run")
    assert {name: after_all[name] for name in kept} == kept


@pytest.mark.parametrize("system", ["bm25-rewrite", "minilm-history"])
def test_the_same_command_again_computes_nothing_and_changes_no_byte(commands, system, tmp_path, monkeypatch):
    command = commands[system]
    _ = command.undisturbed
    folder = command.base / "run"
    before, whole = finished_stages(folder), every_byte(folder)
    assert len(before) == 8
    monkeypatch.setattr("convbench.backends.encoder.load", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setattr("convbench.metrics.bert_model.BertModel._model", property(lambda self: pytest.fail("a model was loaded")))
    monkeypatch.setattr("convbench.retrieval.bm25.BM25Retriever.index", lambda *_: pytest.fail("an index was opened"))
    finished = succeed(*command.arguments, "--out", folder, "--cache", command.warm, "--offline")
    assert "every stage is finished, nothing to infer" in finished.err
    assert finished_stages(folder) == before
    assert every_byte(folder) == whole
    last = json.loads((folder / "run.json").read_text(encoding="utf-8"))["executions"][-1]
    assert (last["status"], last["seconds"]) == ("finished", {})


def test_a_stage_changed_by_hand_is_made_again(commands, tmp_path):
    command = commands["quick"]
    whole, _ = command.undisturbed
    places = ("--out", tmp_path / "run", "--cache", command.warm)
    succeed(*command.arguments, *places)
    rows = tmp_path / "run" / "stages" / "generate.jsonl"
    rows.write_bytes(rows.read_bytes()[:-2])
    finished = succeed(*command.arguments, *places)
    assert f"{rows} was changed after it was written: it is made again" in finished.err
    assert content_without_cost(tmp_path / "run") == whole


def test_a_second_process_is_refused_and_does_not_disturb_the_first(commands, tmp_path):
    command = commands["long"]
    process = command.begin(tmp_path / "run", command.warm)
    while process.is_alive() and not appears("stages/generate.*.part", 1, tmp_path / "run", command.warm):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGSTOP)  # or it may be over before the second has begun
    refused = convbench(*command.arguments, "--out", tmp_path / "run", "--cache", command.warm)
    os.kill(process.pid, signal.SIGCONT)
    process.join(timeout=60)
    who = f"another process (pid {process.pid})"
    assert refused.error == f"{tmp_path / 'run'}: {who} is running in this folder; wait for it or choose another --out"
    assert refused.code == 2
    assert content_without_cost(tmp_path / "run") == command.undisturbed[0]


def moments(seed: int, count: int) -> Iterator[float]:
    chance = random.Random(seed)
    return (chance.random() * 1.05 for _ in range(count))


@pytest.mark.slow
@pytest.mark.parametrize("system", ["bm25-rewrite", "minilm-history"])
def test_killed_at_many_times(commands, system, tmp_path):
    command = commands[system]
    _, seconds = command.undisturbed
    killed = 0
    for number, part in enumerate(moments(7, 20)):
        killed += command.check_killed(tmp_path / f"run-{number}", tmp_path / f"cache-{number}", after(part * seconds))
    assert killed > 5  # the rest was quicker than the undisturbed run, whose time the moments are parts of


@pytest.mark.slow
def test_killed_at_every_batch(commands, tmp_path):
    command = commands["long"]
    for stage, batch in (("search", 64), ("generate", 32)):
        for number, size in enumerate(part_sizes(command, stage, batch)):
            moment = partial(appears, f"stages/{stage}.*.part", size)
            command.check_killed(tmp_path / f"{stage}-{number}", command.warm, moment)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["qrecc", "orquac", "inscit", "faithdial"])
def test_killed_on_every_dataset(dataset, tmp_path):
    command = Command(("run", "bm25-history", "-d", dataset, "--metrics", "retrieval,rouge,token-f1"), tmp_path)
    _, seconds = command.undisturbed
    for number, part in enumerate(moments(3, 8)):
        command.check_killed(tmp_path / f"killed-{number}", tmp_path / f"cache-{number}", after(part * seconds))
