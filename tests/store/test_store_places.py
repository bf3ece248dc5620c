"""Finding runs in folders and behind URLs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fsspec
import pytest

from convbench.errors import DataError, MissingFileError, UsageError
from convbench.store.listing import read_rows
from convbench.store.places import stored_run, stored_runs
from convbench.store.query import ask


def put(memory, root: Path, url: str) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"{url}/{path.relative_to(root).as_posix()}", path.read_bytes())


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def test_runs_behind_a_url_are_those_of_the_folder(two_runs, tmp_path, memory):
    root = shutil.copytree(two_runs, tmp_path / "runs")
    put(memory, root, "/bucket/runs")
    there, here = stored_runs("memory://bucket/runs"), stored_runs(str(root))
    assert [(run.name, run.files) for run in there] == [(run.name, run.files) for run in here]
    assert [run.place for run in there] == ["memory://bucket/runs/a", "memory://bucket/runs/deep/b"]
    ours, theirs = read_rows(here), read_rows(there)
    assert not theirs.broken
    assert [row.as_json() | {"place": None} for row in theirs.rows] == [row.as_json() | {"place": None} for row in ours.rows]
    assert ask(theirs.rows, "SELECT * FROM scores ORDER BY ALL", most=10_000) == ask(
        ours.rows, "SELECT * FROM scores ORDER BY ALL", most=10_000
    )
    assert not list(memory.glob("/bucket/runs/**/*.parquet"))  # nothing is written where others read


def test_a_url_of_one_run_is_that_run(two_runs, memory):
    put(memory, two_runs, "/bucket/runs")
    assert stored_run("memory://bucket/runs/deep/b").name == "b"
    assert stored_run("memory://bucket/runs/deep/b/").files == stored_run(str(two_runs / "deep" / "b")).files


def test_errors_behind_a_url_name_the_url(two_runs, memory):
    put(memory, two_runs, "/bucket/runs")
    memory.pipe_file("/bucket/runs/a/run.json", b'{"schema": "other"}')
    listing = read_rows(stored_runs("memory://bucket/runs"))
    assert [row.run.name for row in listing.rows] == ["deep/b"]
    assert len(listing.broken) == 1
    assert listing.broken[0].startswith("memory://bucket/runs/a/run.json: ")
    with pytest.raises(DataError, match="memory://bucket/runs/a"), stored_runs("memory://bucket/runs")[0].local() as path:
        raise DataError(path / "run.json", "changed")


def test_nothing_there_is_said(tmp_path, memory):
    for place in (str(tmp_path), "memory://bucket/none", str(tmp_path / "none")):
        with pytest.raises(MissingFileError, match="no run here or below"):
            stored_runs(place)
    with pytest.raises(UsageError, match="nosuch"):
        stored_runs("nosuch://bucket")


def test_what_a_killed_export_left_is_not_counted_twice(two_runs, tmp_path):
    root = Path(shutil.copytree(two_runs, tmp_path / "runs"))
    shutil.copytree(two_runs / "a", root / ".bundle.4711.tmp" / "a")
    assert [run.name for run in stored_runs(str(root))] == ["a", "deep/b"]


def test_links_are_not_followed(two_runs, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(two_runs)
    (root / "own").mkdir()
    for name in ("run.json", "results.json"):
        (root / "own" / name).write_bytes((two_runs / "a" / name).read_bytes())
    (root / "own" / "stages").symlink_to(two_runs / "a" / "stages")
    (root / "own" / "turns.jsonl").symlink_to(two_runs / "a" / "turns.jsonl")
    found = stored_runs(str(root))
    assert [(run.name, sorted(run.files)) for run in found] == [("own", ["results.json", "run.json"])]


def test_a_run_folder_of_many_dates_is_dated_by_its_latest_execution(two_runs, tmp_path):
    run = Path(shutil.copytree(two_runs / "a", tmp_path / "a"))
    info = json.loads((run / "run.json").read_text())
    info["executions"] += [{"started": "2031-02-03T04:05:06+00:00", "status": "failed", "error": "stopped"}]
    (run / "run.json").write_text(json.dumps(info | {"status": "failed"}))
    (row,) = read_rows(stored_runs(str(run))).rows
    assert (row.date.isoformat(), row.status, row.error) == ("2031-02-03T04:05:06+00:00", "failed", "stopped")
    info["executions"][-1]["started"] = "yesterday"
    (run / "run.json").write_text(json.dumps(info))
    (said,) = read_rows(stored_runs(str(run))).broken
    assert "ISO 8601" in said
