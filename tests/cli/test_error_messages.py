"""What goes wrong is said in one line, with the documented exit code, and leaves nothing half-written."""

from __future__ import annotations

import errno
import gzip
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import MINI, completed, content_without_cost, convbench, heed_control_c, start, succeed
from small_disk import SmallDisk, small_disk

USAGE, DATA, BROKEN_RUN, STORAGE, INTERRUPTED = 2, 3, 4, 6, 130
FAST = ("--metrics", "retrieval,rouge")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def refused(code: int, out: Path, *arguments: object) -> str:
    """The error of a `convbench run` that must not begin; the message."""
    finished = convbench("run", *arguments, "--out", out, *(() if "--metrics" in arguments else FAST))
    assert finished.code == code, finished
    assert finished.out == ""
    assert not out.exists()
    return finished.error


def official(name: str, folder: Path) -> Path:
    """A copy of a mini set, to be read as somebody's files."""
    shutil.copytree(MINI / name, folder)
    return folder


# ---- names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("orcle", "-d", "topiocqa"), "unknown system 'orcle'. Did you mean 'oracle'? Known: ance-chiq-ad, "),
        (("oracle", "-d", "topiocq"), "unknown dataset 'topiocq'. Did you mean 'topiocqa'? Known: cast, "),
        (("oracle", "-d", "topiocqa", "--split", "dev"), "topiocqa: split 'dev' needs the official files: give them with --data DIR"),
        (("oracle", "-d", "topiocqa", "--data", MINI, "--split", "valdi"), "topiocqa has no split 'valdi'. Did you mean 'valid'? Known: "),
        (("oracle", "-d", "cast"), "cast has no bundled mini set: give its official files with --data DIR"),
        (("bm25-query", "-d", "topiocqa", "--history", "querys"), "unknown history view 'querys'. Did you mean 'query'? Known: "),
        (("bm25-query", "-d", "topiocqa", "--history", "last-0"), "unknown history view 'last-0'."),
        (
            ("bm25-query", "-d", "topiocqa", "--evidence", "golden"),
            "unknown evidence view 'golden'. Did you mean 'gold'? Known: none, retrieved, gold, gold+noise, retrieved-minus-gold, ",
        ),
        (("oracle", "-d", "topiocqa", "--evidence", "gold"), "oracle: --evidence does not apply to a system of kind 'oracle'"),
        (("oracle", "-d", "topiocqa", "--metrics", "rogue"), "unknown metric 'rogue'. Did you mean 'rouge'? Known: "),
        (("oracle", "-d", "topiocqa", "--metrics", "rouge,"), "unknown metric ''."),
        (
            ("oracle", "-d", "qrecc", "--option", "first-qestion=asked"),
            "qrecc has no option 'first-qestion'. Did you mean 'first-question'?",
        ),
        (("oracle", "-d", "qrecc", "--option", "first-question=told"), "option 'first-question' cannot be 'told'; expected one of asked, "),
        (("oracle", "-d", "qrecc", "--option", "first-question"), "--option 'first-question': expected NAME=VALUE"),
        (("oracle", "-d", "topiocqa", "--metrics", "bertscore", "--bertscore-layer", 99), "has the layers 1-6"),
        (("oracle", "-d", "topiocqa", "--limit", 0), "Invalid value for '--limit': 0 is not in the range x>=1 (see convbench run --help)"),
        (("oracle", "-d", "topiocqa", "--seeed", 1), "No such option '--seeed'"),
        (("oracle",), "Missing option '--dataset' / '-d' (see convbench run --help)"),
    ],
)
def test_a_name_that_does_not_exist(arguments, said, out):
    assert said in refused(USAGE, out, *arguments)


def test_a_bare_command_shows_its_help():
    finished = convbench()
    assert "Usage: convbench [OPTIONS] COMMAND" in finished.out + finished.err
    assert "\\b" not in finished.out + finished.err


def test_an_unknown_command():
    assert convbench("rnu").error == "No such command 'rnu' (see convbench --help)"


@pytest.mark.parametrize("command", [("data", "info"), ("data", "prepare"), ("data", "audit")])
def test_an_unknown_dataset_of_the_data_commands(command):
    finished = convbench(*command, "qrec")
    assert (finished.code, finished.out) == (USAGE, "")
    assert finished.error.startswith("unknown dataset 'qrec'. Did you mean 'qrecc'?")


@pytest.mark.parametrize("place", [".", "nowhere"])
def test_scoring_what_is_no_run(place, tmp_path):
    finished = convbench("score", tmp_path / place, *FAST)
    assert finished.code == DATA
    assert finished.error.endswith(": no run here (no run.json); expected a folder that `convbench run` made")


# ---- systems


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("kind: oracle\nname: mine\ncolour: red\n", USAGE, ":3: colour: extra inputs are not permitted, found 'red'"),
        (
            "kind: two-stage\nname: mine\nretriever: {type: bm25, k9: 1}\n",
            USAGE,
            ":3: retriever.k9: extra inputs are not permitted, found 1; known: analyzer, b, k1",
        ),
        ("kind: random\nname: mine\nk: many\n", USAGE, "k: input should be a valid integer"),
        ("kind: random\nname: mine\nk: 0\n", USAGE, "k: input should be greater than or equal to 1, found 0"),
        ("kind: two-stage\nname: mine\nretriever: {type: bm52}\n", USAGE, ":3: retriever.type: input should be 'bm25'"),
        ("kind: two-stage\nname: mine\nretriever: {type: bm25}\nhistory: {view: ful}\n", USAGE, "unknown history view 'ful'"),
        ("kind: two-stag\nname: mine\n", USAGE, ":1: kind: 'two-stag' is no kind of system. Did you mean 'two-stage'? Known: oracle, "),
        ("name: mine\n", USAGE, "kind: None is no kind of system."),
        ("kind: [oracle]\nname: mine\n", USAGE, "kind: ['oracle'] is no kind of system."),
        ("kind: oracle\n", USAGE, "name: field required"),
        ("kind: oracle\nname: ../up\n", USAGE, "name: string should match pattern"),
        ("kind: oracle\nname: two words\n", USAGE, "name: string should match pattern"),
        ("kind: [oracle\nname: mine\n", DATA, ":2: not valid YAML: "),
        ("just words\n", DATA, ": expected a mapping, found str"),
        ("", DATA, ": expected a mapping, found NoneType"),
        ("kind: !!python/object/apply:os.getcwd []\n", DATA, ":1: not valid YAML: "),
    ],
)
def test_a_malformed_system(text, code, said, out, tmp_path):
    path = tmp_path / "system.yaml"
    path.write_text(text, encoding="utf-8")
    message = refused(code, out, path, "-d", "topiocqa")
    assert said in message
    assert str(path) in message or "history view" in message


@pytest.mark.parametrize("name", ["system.yaml", "run.jsonl", "run.trec.gz"])
def test_a_system_whose_file_is_missing(name, out, tmp_path):
    assert refused(DATA, out, tmp_path / name, "-d", "topiocqa") == f"{tmp_path / name}: no such file"


def test_two_systems_of_one_name(out, tmp_path):
    (tmp_path / "system.yaml").write_text("kind: random\nname: oracle\n", encoding="utf-8")
    assert "two systems have the same name" in refused(USAGE, out, "oracle", tmp_path / "system.yaml", "-d", "topiocqa")


# ---- files of a dataset


def test_a_missing_data_folder(out, tmp_path):
    assert refused(DATA, out, "oracle", "-d", "topiocqa", "--data", tmp_path / "no") == f"{tmp_path / 'no'}: no such folder"


@pytest.mark.parametrize("dataset", ["topiocqa", "qrecc", "orquac", "inscit", "faithdial", "cast"])
def test_a_folder_without_the_files(dataset, out, tmp_path):
    message = refused(DATA, out, "oracle", "-d", dataset, "--data", tmp_path)
    assert message.startswith(f"{tmp_path}: no file for ")
    assert ": expected " in message


def test_several_candidates_are_listed(out, tmp_path):
    data = official("topiocqa", tmp_path / "data")
    (data / "copy").mkdir()
    shutil.copy(data / "topiocqa_mini.jsonl", data / "copy")
    message = refused(DATA, out, "oracle", "-d", "topiocqa", "--data", data, "--split", "mini")
    assert "2 candidates for TopiOCQA mini turns: copy/topiocqa_mini.jsonl, topiocqa_mini.jsonl; point --data at" in message


@pytest.mark.parametrize("system", ["bm25-query", "oracle"])
def test_a_missing_corpus_is_not_passed_over(system, out, tmp_path):
    """Not even by a system that could do without the passages."""
    arguments = (system, "-d", "topiocqa", "--data", MINI / "topiocqa", "--split", "mini", "--corpus", tmp_path / "no.tsv")
    assert refused(DATA, out, *arguments).startswith(f"{tmp_path / 'no.tsv'}: no such ")


WHOLE_JSON = [("qrecc", "scai-qrecc21-mini-turns.json"), ("inscit", "mini.json"), ("faithdial", "mini.json")]
LINES = [
    ("topiocqa", "topiocqa_mini.jsonl"),
    ("topiocqa", "full_wiki_segments.tsv"),
    ("orquac", "preprocessed/mini.txt"),
    ("orquac", "quac_format/mini.txt"),
    ("orquac", "qrels.txt"),
    ("orquac", "all_blocks.txt"),
    ("qrecc", "collection/commoncrawl/part-00.jsonl"),
    ("inscit", "full_wiki_segments.tsv"),
]


def cut_places(dataset: str, name: str, whole: bytes) -> list[int]:
    """Where a file is cut: anywhere; in files of lines inside of one, since fewer whole lines are a file too."""
    if (dataset, name) in WHOLE_JSON:
        return [len(whole) * part // 5 for part in range(5)] + [len(whole.rstrip()) - 1]
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    return [last + 4, whole.find(b"\n") + 6] if last else [40, len(whole) // 2]


@pytest.mark.parametrize(("dataset", "name"), [*WHOLE_JSON, *LINES])
def test_a_half_written_file(dataset, name, out, tmp_path):
    data = official(dataset, tmp_path / "data")
    whole = (data / name).read_bytes()
    for place in cut_places(dataset, name, whole):
        (data / name).write_bytes(whole[:place])
        finished = convbench("run", "bm25-query", "-d", dataset, "--data", data, "--split", "mini", "--out", out, *FAST)
        assert finished.code == DATA, (place, finished)
        assert str(data / name) in finished.error, place
        assert not (out / "turns.jsonl").exists()


def test_a_half_written_gzip_file(out, tmp_path):
    data = official("faithdial", tmp_path / "data")
    packed = gzip.compress((data / "mini.json").read_bytes())
    (data / "mini.json").unlink()
    (data / "mini.json.gz").write_bytes(packed[: len(packed) // 2])
    message = refused(DATA, out, "oracle", "-d", "faithdial", "--data", data, "--split", "mini")
    assert message.startswith(f"{data / 'mini.json.gz'}:")
    assert "broken gzip file" in message


def test_a_run_goes_on_when_the_corpus_is_whole_again(out, tmp_path):
    data = official("topiocqa", tmp_path / "data")
    corpus = data / "full_wiki_segments.tsv"
    whole = corpus.read_bytes()
    corpus.write_bytes(whole + b"only an id")
    command = ("run", "bm25-query", "-d", "topiocqa", "--data", data, "--split", "mini", "--out", out, *FAST)
    assert str(corpus) in convbench(*command).error
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["status"] == "failed"
    corpus.write_bytes(whole)
    succeed(*command)


# ---- rewrites


def test_a_missing_rewrites_file(out, tmp_path):
    message = refused(DATA, out, "bm25-rewrite", "-d", "topiocqa", "--rewrites", tmp_path / "no.jsonl")
    assert message == f"{tmp_path / 'no.jsonl'}: no such file"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('{"turn_id": "x_1", "rewrite": "who?"}\n', ": none of its 1 rewrites is for a turn of this split (first: x_1)"),
        ('{"turn_id": "1_1", "rewrite": "who?"}\n{"turn_id": "1_1", "rewrite": "who"}\n', ":2: a second rewrite for turn '1_1'"),
        ('{"turn_id": "1_1", "rewrite": "wh', ":1: not valid JSON"),
        ('{"turn_id": "1_1"}\n', ":1: field 'rewrite' is missing; expected a string"),
    ],
)
def test_rewrites_that_do_not_fit(lines, said, out, tmp_path):
    path = tmp_path / "rewrites.jsonl"
    path.write_text(lines, encoding="utf-8")
    assert f"{path}{said}" in refused(DATA, out, "bm25-rewrite", "-d", "topiocqa", "--rewrites", path)


def test_a_system_that_needs_rewrites_where_there_are_none(out):
    message = refused(USAGE, out, "bm25-rewrite", "-d", "inscit", "--data", MINI / "inscit", "--split", "mini")
    assert message.startswith("56 of 56 turns have no human rewrite (first: ")
    assert message.endswith("give them with --rewrites FILE (lines of {turn_id, rewrite})")


def test_a_system_that_needs_rewrites_where_some_are_missing(out, tmp_path):
    path = tmp_path / "rewrites.jsonl"
    lines = (MINI / "topiocqa" / "rewrites.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[1:]), encoding="utf-8")
    message = refused(USAGE, out, "bm25-rewrite", "-d", "topiocqa", "--rewrites", path)
    assert message.startswith("1 of 56 turns have no human rewrite (first: 1_1);")


# ---- runs of other tools


@pytest.mark.parametrize(
    ("name", "lines", "code", "said"),
    [
        (
            "other.jsonl",
            '{"turn_id": "1_1", "passages": [["a", NaN]]}\n',
            BROKEN_RUN,
            ":1: turn '1_1': passage 'a': score nan is not a finite",
        ),
        (
            "other.jsonl",
            '{"turn_id": "1_1", "passages": [["a", Infinity]]}\n',
            BROKEN_RUN,
            ":1: turn '1_1': passage 'a': score inf is not a finite",
        ),
        ("other.trec", "1_1 Q0 a 1 2.5 x\n1_1 Q0 b 2 nan x\n", BROKEN_RUN, ":2: turn 1_1: score 'nan' is not a finite number"),
        ("other.run", "1_1 Q0 a 1 -inf x\n", BROKEN_RUN, ":1: turn 1_1: score '-inf' is not a finite number"),
        ("other.trec", "1_1 Q0 a 1 best x\n", BROKEN_RUN, ":1: turn 1_1: score 'best' is not a finite number"),
        ("other.trec", "1_1 Q0 a 1 2.5\n", DATA, ":1: expected 6 columns"),
        ("other.trec", "1_1 Q0 a 1 2 x\n1_1 Q0 a 2 1 x\n", DATA, ":2: turn 1_1: passage 'a' appears twice"),
        ("other.jsonl", '{"turn_id": "1_1", "passages": [["a", 2], ["a", 1]]}\n', DATA, ":1: turn '1_1': passage 'a' appears twice"),
        ("other.jsonl", '{"turn_id": "1_1"}\n{"turn_id": "1_1"}\n', DATA, ":2: turn '1_1' appears twice"),
        ("other.jsonl", '{"turn_id": "1_1", "passages": [["a",\n', DATA, ":1: not valid JSON"),
        ("other.jsonl", '{"turn_id": "1_1", "response": 7}\n', DATA, ":1: field 'response': expected a string"),
        ("other.jsonl", '{"schema": "convbench.run/9"}\n', DATA, ":1: schema 'convbench.run/9' is not known"),
        ("other.trec", "1_1 Q0 a 1 1e39 x\n", BROKEN_RUN, "turn 1_1: passage 'a' has the score 1e+39; expected a finite 32-bit number"),
        ("other.trec", "q1 Q0 a 1 2 x\n", BROKEN_RUN, ": none of its turns (q1 ...) is a turn of this dataset (1_1, 1_2, 1_3 ...)"),
    ],
)
def test_a_run_that_breaks_the_rules(name, lines, code, said, out, tmp_path):
    path = tmp_path / name
    path.write_text(lines, encoding="utf-8")
    assert said in refused(code, out, path, "-d", "topiocqa")


# ---- places that cannot be written to


@pytest.mark.parametrize("below", [(), ("run",), ("a", "b")])
def test_out_that_is_a_file(below, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    place = tmp_path.joinpath("file", *below)
    finished = convbench("run", "oracle", "-d", "topiocqa", "--out", place, *FAST)
    assert (finished.code, finished.out) == (USAGE, "")
    assert "is a file, or lies in one; expected a folder for the run" in finished.error
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_cache_that_is_a_file(out, tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    finished = convbench("run", "oracle", "-d", "topiocqa", "--out", out, "--cache", tmp_path / "file", *FAST)
    assert finished.code == STORAGE
    assert finished.error.startswith(f"{tmp_path / 'file'}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 16 KiB (``test_a_write_that_fails`` covers where none can be mounted)."""
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def half_written(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.tmp")]


def test_a_full_disk_under_out(disk, tmp_path):
    """The disk grows again and again; every time the run gets further, and what is finished is not made again."""
    succeed("run", "bm25-query", "-d", "topiocqa", "--out", tmp_path / "whole", *FAST)
    command = ("run", "bm25-query", "-d", "topiocqa", "--out", disk.folder / "run", *FAST)
    seen: dict[str, int] = {}
    for size in (16, 32, 64, 128, 192, 256, 272):
        disk.resize(size)
        finished = convbench("--quiet", *command)
        assert finished.code == STORAGE, size
        assert "cannot write: the disk is full: free some space" in finished.error
        assert finished.error.endswith("finished work is kept, run the same command again to go on")
        assert half_written(disk.folder) == []
        now = {path.name: path.stat().st_ino for path in disk.folder.glob("run/stages/*.jsonl")}
        assert {name: now[name] for name in seen} == seen
        seen = now
    assert {"view.jsonl", "rewrite.jsonl", "search.jsonl", "generate.jsonl"} <= set(seen)
    disk.resize(1024)
    succeed(*command)
    assert content_without_cost(disk.folder / "run") == content_without_cost(tmp_path / "whole")


def test_a_full_disk_under_the_cache(disk, out, tmp_path):
    succeed("run", "bm25-query", "-d", "topiocqa", "--out", tmp_path / "whole", *FAST)
    command = ("run", "bm25-query", "-d", "topiocqa", "--out", out, "--cache", disk.folder / "cache", *FAST)
    for size in (16, 32, 64, 128, 192):
        disk.resize(size)
        finished = convbench("--quiet", *command)
        assert finished.code == STORAGE, size
        # numpy neither says why it wrote less than it should, nor where
        assert finished.error.startswith((f"{disk.folder / 'cache'}", "reading or writing failed (")), size
        assert "free some space" in finished.error or "check disk space" in finished.error
        assert half_written(disk.folder) == []
    info = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert info["status"] == "failed"
    assert info["executions"][-1]["error"] in finished.error
    disk.resize(1024)
    succeed(*command)
    assert content_without_cost(out) == content_without_cost(tmp_path / "whole")


def test_a_disk_without_room_for_one_file(disk, tmp_path):
    disk.resize(4)
    (disk.folder / "filler").write_bytes(b"x" * 4096)
    finished = convbench("run", "oracle", "-d", "topiocqa", "--out", disk.folder / "run", *FAST)
    assert finished.code == STORAGE
    assert "the disk is full" in finished.error


@pytest.mark.parametrize("place", ["out", "cache"])
def test_a_read_only_disk(disk, place, tmp_path):
    disk.resize(1024)
    places = {"out": tmp_path / "out", "cache": tmp_path / "cache"} | {place: disk.folder / "here"}
    command = ("run", "bm25-query", "-d", "topiocqa", "--out", places["out"], "--cache", places["cache"], *FAST)
    disk.writable(False)
    finished = convbench(*command)
    assert finished.code == STORAGE
    assert "cannot write: the file system is read-only: choose another place" in finished.error
    assert finished.error.startswith(f"{disk.folder}")
    disk.writable(True)
    succeed(*command)


def test_a_disk_that_becomes_read_only_after_the_run(disk):
    disk.resize(1024)
    command = ("bm25-query", "-d", "topiocqa", "--out", disk.folder / "run", *FAST)
    succeed("run", *command)
    disk.writable(False)
    assert convbench("score", disk.folder / "run", *FAST).code == STORAGE
    assert succeed("validate", disk.folder / "run").err.endswith(": in order\n")
    disk.writable(True)


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


@pytest.mark.parametrize("warm", [True, False])
def test_a_limit_on_the_size_of_files(warm, out, tmp_path):
    """As `ulimit -f` sets it: the run's own files break it, or those of the cache."""
    cache = tmp_path / "cache"
    command = ("run", "bm25-query", "-d", "topiocqa", "--out", out, "--cache", cache, *FAST)
    if warm:
        succeed("run", "bm25-query", "-d", "topiocqa", "--out", tmp_path / "whole", "--cache", cache, *FAST)
    stopped = completed(start(*command, preexec_fn=limit_files))
    assert stopped.code == STORAGE
    assert "File too large" in stopped.error
    assert half_written(out) == []
    succeed(*command)


class Failing:
    """An ``os.fsync`` that fails at one call: everything that must last goes through it.

    Attributes:
        calls: So many came.
        shortcut: It failed for a remembered digest; a run goes on without.
    """

    def __init__(self, at: int, number: int) -> None:
        self.calls, self.shortcut = 0, False
        self._at, self._number = at, number

    def __call__(self, descriptor: int) -> None:
        self.calls += 1
        if self.calls == self._at:
            self.shortcut = "/digests" in str(Path(f"/proc/self/fd/{descriptor}").readlink())
            raise OSError(self._number, os.strerror(self._number))


@pytest.fixture
def fails_at(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], bool]:
    """Runs with a write that fails, then again without; False where there were fewer writes."""
    whole = tmp_path / "whole"
    succeed("run", "bm25-query", "-d", "topiocqa", "--out", whole, "--cache", tmp_path / "warm", *FAST)

    def check(at: int, number: int) -> bool:
        places = ("--out", out / str(at), "--cache", tmp_path / f"cache-{at}")
        failing = Failing(at, number)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            finished = convbench("run", "bm25-query", "-d", "topiocqa", *places, *FAST)
        if failing.calls < at or failing.shortcut:
            assert finished.code == 0
            return failing.calls >= at
        assert finished.code == STORAGE, finished
        assert "cannot write: " in finished.error
        assert half_written(out / str(at)) == []
        succeed("run", "bm25-query", "-d", "topiocqa", *places, *FAST)
        assert content_without_cost(out / str(at)) == content_without_cost(whole)
        return True

    return check


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_write_that_fails(fails_at, number):
    assert all(fails_at(at, number) for at in (7, 9, 16, 22, 40))


@pytest.mark.slow
def test_any_write_that_fails(fails_at):
    writes = next(at for at in itertools.count(1) if not fails_at(at, errno.ENOSPC))
    assert writes > 50


# ---- Ctrl-C


STOPPED = "interrupted; finished work is kept, run the same command again to go on"


def wait_for(process: subprocess.Popen[str], pattern: str, folder: Path) -> None:
    while process.poll() is None and not any(folder.glob(pattern)):
        time.sleep(0.001)


@pytest.mark.parametrize("pattern", ["stages/rewrite.jsonl", "stages/generate.*.part"])
def test_control_c(pattern, out, tmp_path):
    succeed("run", "bm25-rewrite", "-d", "topiocqa", "--out", tmp_path / "whole", *FAST)
    command = ("run", "bm25-rewrite", "-d", "topiocqa", "--out", out, *FAST)
    process = start(*command, preexec_fn=heed_control_c)
    wait_for(process, pattern, out)
    process.send_signal(signal.SIGINT)
    stopped = completed(process)
    assert stopped.code == INTERRUPTED, stopped
    assert stopped.err.strip() == STOPPED
    assert half_written(out) == []
    info = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert (info["status"], info["executions"][-1]["error"]) == ("failed", "interrupted")
    kept = {path.name: path.stat().st_ino for path in out.glob("stages/*.jsonl")}
    assert "view.jsonl" in kept
    succeed(*command)
    assert content_without_cost(out) == content_without_cost(tmp_path / "whole")
    assert {name: (out / "stages" / name).stat().st_ino for name in kept} == kept


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 0.2, 0.4, 0.8, 1.2, 1.6, 2.0, 3.0])
def test_control_c_at_any_time(seconds, out, tmp_path):
    """While packages are imported, the index is built, a model is loaded ..."""
    command = ("run", "bm25-query", "-d", "topiocqa", "--out", out, "--cache", tmp_path / "cache", "--metrics", "bertscore")
    process = start(*command, preexec_fn=heed_control_c)
    wait_for(process, "*", tmp_path / "cache")  # before, it may be the interpreter that is interrupted
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    stopped = completed(process)
    assert (stopped.code, stopped.err.strip()) in ((INTERRUPTED, STOPPED), (0, ""))


def test_an_error_in_a_process_of_its_own(out):
    """What the tests above see in this process is what a shell sees."""
    failed = completed(start("run", "bm25-rewrite", "-d", "inscit", "--data", MINI / "inscit", "--split", "mini", "--out", out, *FAST))
    assert (failed.code, failed.out) == (USAGE, "")
    assert "have no human rewrite" in failed.error


def test_a_reader_that_goes_away():
    """`convbench data list | head -1`."""
    command = [sys.executable, "-c", "from convbench.cli.main import main; main()", "data", "info", "topiocqa"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
