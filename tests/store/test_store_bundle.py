"""Bundles: what is in them, and that they can be read."""

from __future__ import annotations

import json
import shutil
import tarfile
from hashlib import sha256
from pathlib import Path

import fsspec
import pytest
from command_line import succeed

from convbench.errors import UsageError
from convbench.harness.finished import load_run
from convbench.io.jsonl import read_jsonl
from convbench.store.bundle import export_runs
from convbench.store.places import stored_runs


def test_every_file_is_listed_with_its_digest(two_runs, tmp_path):
    export_runs(stored_runs(str(two_runs)), str(tmp_path / "out"))
    bundle = json.loads((tmp_path / "out" / "bundle.json").read_text())
    listed = {f"{run['name']}/{name}": entry for run in bundle["runs"] for name, entry in run["files"].items()}
    held = {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert held.keys() == {*listed, "bundle.json"}
    assert all(listed[name] == {"bytes": len(held[name]), "sha256": sha256(held[name]).hexdigest()} for name in listed)
    assert (tmp_path / "out" / "a" / "turns.jsonl").read_bytes() == (two_runs / "a" / "turns.jsonl").read_bytes()
    assert not any("stages" in name for name in held)


def test_folder_archive_and_url_hold_the_same(two_runs, tmp_path):
    runs = stored_runs(str(two_runs))
    memory = fsspec.filesystem("memory")
    export_runs(runs, str(tmp_path / "out"))
    export_runs(runs, str(tmp_path / "out.tar.gz"))
    try:
        export_runs(runs, "memory://shared/out")
        export_runs(runs, "memory://shared/out.tar.gz")
        there = {path.removeprefix("/shared/out/"): memory.cat_file(path) for path in memory.find("/shared/out")}
        archive = memory.cat_file("/shared/out.tar.gz")
        with pytest.raises(UsageError, match="is there already"):
            export_runs(runs, "memory://shared/out")
    finally:
        memory.store.clear()
    here = {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert there == here
    assert archive == (tmp_path / "out.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "out.tar.gz") as tar:
        assert {member.name: tar.extractfile(member).read() for member in tar} == here
        assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in tar} == {(0, 0, 0, "", 0o644)}


def test_without_texts_no_query_and_no_response_is_left(two_runs, tmp_path):
    export_runs(stored_runs(str(two_runs)), str(tmp_path / "out"), texts=False)
    held = "".join(path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file())
    texts = [text for _, line in read_jsonl(two_runs / "a" / "turns.jsonl") for text in (line.get("query"), line.get("response")) if text]
    assert len(texts) > 20
    assert [text for text in texts if json.dumps(text, ensure_ascii=False) in held or text in held] == []
    ours, theirs = load_run(two_runs / "a"), load_run(tmp_path / "out" / "a")
    assert theirs.scores == ours.scores
    assert {id_: record.passages for id_, record in theirs.records.items()} == {
        id_: record.passages for id_, record in ours.records.items()
    }
    bundle = json.loads((tmp_path / "out" / "bundle.json").read_text())
    assert (bundle["runs"][0]["texts"], bundle["runs"][0]["turns_sha256"]) == (False, ours.results.run_sha256)
    succeed("compare", tmp_path / "out", "--out", tmp_path / "report", "--resamples", "100", "--no-figures")


def test_runs_of_one_name_stand_apart(two_runs, tmp_path):
    for place in ("x/same", "y/same", "same-2"):
        shutil.copytree(two_runs / "a", tmp_path / "runs" / place)
    export_runs(stored_runs(str(tmp_path / "runs")), str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == ["same", "same-2", "same-3"]


@pytest.mark.parametrize("name", ["bundle.json", "-dash", "sp ace é", "no \udcff text"])
def test_a_run_of_any_name_gets_a_folder_of_its_own(two_runs, tmp_path, name):
    run = shutil.copytree(two_runs / "a", tmp_path / name)
    export_runs(stored_runs(str(run)), str(tmp_path / "out"))
    (found,) = stored_runs(str(tmp_path / "out"))
    assert found.name == {"bundle.json": "run", "no \udcff text": "no _ text"}.get(name, name)
    assert json.loads((tmp_path / "out" / "bundle.json").read_text())["runs"][0]["name"] == found.name


def test_what_is_not_whole_is_refused(two_runs, tmp_path):
    run = Path(shutil.copytree(two_runs / "a", tmp_path / "a"))
    with (run / "turns.jsonl").open("a") as handle:
        handle.write('{"turn_id": "9_9"}\n')
    with pytest.raises(UsageError, match="not the file that was scored"):
        export_runs(stored_runs(str(run)), str(tmp_path / "out"))
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"status": "failed"}))
    with pytest.raises(UsageError, match="not finished"):
        export_runs(stored_runs(str(run)), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
