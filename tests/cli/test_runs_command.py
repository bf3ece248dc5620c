"""``convbench runs``: what each command prints and refuses, on small runs that were really made."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from functools import partial
from pathlib import Path

import pytest
from command_line import convbench, succeed

METRICS = ("--metrics", "retrieval,token-f1", "--offline")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "runs"
    for system in ("bm25-query", "bm25-rewrite"):
        succeed("run", system, "-d", "topiocqa", "--limit", "3", "--out", out / "topiocqa" / system, *METRICS)
    succeed("run", "bm25-query", "-d", "qrecc", "--limit", "2", "--out", out / "qrecc", *METRICS)
    return out


@pytest.fixture
def runs(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


def change(run: Path, **values) -> None:
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | values))


def fail(run: Path, status: str = "failed") -> None:
    (run / "results.json").unlink()
    change(run, status=status)


def age(run: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for path in run.rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)


def names(*arguments) -> list[str]:
    return [row["name"] for row in succeed("runs", "list", *arguments, "--json").json]


def test_list_shows_a_row_a_run_with_its_measures(runs):
    lines = succeed("runs", "list", runs).out.splitlines()
    assert lines[0].split() == ["name", "dataset", "split", "tier", "status", "nDCG@3", "F1-loo", "turns", "date", "size"]
    assert [line.split()[0] for line in lines[1:]] == ["qrecc", "topiocqa/bm25-query", "topiocqa/bm25-rewrite"]
    row = succeed("runs", "list", runs, "--json").json[1]
    results = json.loads((runs / "topiocqa" / "bm25-query" / "results.json").read_text())
    assert row["measures"] == {
        f"{each['protocol']}/{each['name']}": each["value"] for each in results["metrics"] if each["value"] is not None
    }
    assert (row["dataset"], row["split"], row["tier"], row["status"]) == ("topiocqa", "mini", "mini", "finished")
    assert row["turns"] == results["dataset"]["n_turns"]
    assert row["bytes"] == sum(path.stat().st_size for path in (runs / "topiocqa" / "bm25-query").rglob("*") if path.is_file())


def test_list_chooses_and_sorts(runs):
    failed = runs / "topiocqa" / "bm25-query"
    change(failed, status="failed")
    assert names(runs, "-d", "qrecc") == ["qrecc"]
    assert names(runs, "--system", "bm25-rewrite") == ["topiocqa/bm25-rewrite"]
    assert names(runs, "--status", "failed") == ["topiocqa/bm25-query"]
    by_measure = succeed("runs", "list", runs, "--sort", "nDCG@3", "--json").json
    values = [row["measures"]["convgqr-line/nDCG@3"] for row in by_measure if "convgqr-line/nDCG@3" in row["measures"]]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1
    sizes = [row["bytes"] for row in succeed("runs", "list", runs, "--sort", "size", "--json").json]
    assert sizes == sorted(sizes, reverse=True)
    assert "nDCG@3" in convbench("runs", "list", runs, "--sort", "nDCG@33").error


def test_list_refuses_a_measure_that_no_run_has(runs):
    assert "Did you mean 'nDCG@3'?" in convbench("runs", "list", runs, "--measure", "nDCG@33").error
    assert "nDCG@3" in succeed("runs", "list", runs, "--measure", "nDCG@3").out.splitlines()[0]


def test_list_goes_on_whatever_run_json_holds(runs):
    def inputs(run):
        return json.loads((run / "run.json").read_text())["inputs"]

    first, second = runs / "qrecc", runs / "topiocqa" / "bm25-query"
    fail(first)
    change(first, inputs={**inputs(first), "dataset": {"split": ["x"]}})
    change(second, executions=[{"ended": "0001-01-01T00:00:00+05:00"}])
    found = succeed("runs", "list", runs)
    assert [line.split()[0] for line in found.out.splitlines()[1:]] == ["topiocqa/bm25-rewrite"]
    assert [line.split(":")[1].strip() for line in found.err.splitlines()] == [str(first / "run.json"), str(second / "run.json")]


def test_list_dates_are_utc(runs):
    change(runs / "qrecc", executions=[{"ended": "2031-02-03T01:05:06+05:00"}])
    assert "2031-02-02 20:05" in succeed("runs", "list", runs, "-d", "qrecc").out


def test_a_file_is_not_taken_for_an_empty_folder(runs):
    for command in ("list", "show"):
        assert "run.json: is a file; expected a run folder" in convbench("runs", command, runs / "qrecc" / "run.json").error


def test_list_names_broken_folders_and_goes_on(runs):
    (runs / "qrecc" / "run.json").write_text("{")
    (runs / "topiocqa" / "bm25-query" / "results.json").unlink()
    found = succeed("runs", "list", runs, "--json")
    assert [row["name"] for row in found.json] == ["topiocqa/bm25-rewrite"]
    warnings = found.err.splitlines()
    assert len(warnings) == 2
    assert all(line.startswith("warning: ") for line in warnings)
    assert str(runs / "qrecc" / "run.json") in warnings[0]


def test_list_tells_running_from_stale(runs):
    run = runs / "qrecc"
    change(run, status="running")
    assert names(runs, "--status", "stale") == ["qrecc"]
    with holder(run):
        assert names(runs, "--status", "running") == ["qrecc"]
    assert names(runs, "--status", "stale") == ["qrecc"]


def test_list_of_nothing_is_one_line(tmp_path):
    assert "no run here or below" in convbench("runs", "list", tmp_path).error
    assert "nosuch" in convbench("runs", "list", "nosuch://there").error


def test_list_reads_urls(runs):
    assert names(f"file://{runs}") == names(runs)


def test_show_has_scores_costs_and_files(runs):
    run = runs / "topiocqa" / "bm25-query"
    card = succeed("runs", "show", run, "--json").json
    results = json.loads((run / "results.json").read_text())
    assert card["metrics"] == results["metrics"]
    assert card["cost"] == results["cost"]
    assert card["digests"]["turns.jsonl"] == results["run_sha256"]
    assert card["files"]["turns.jsonl"] == (run / "turns.jsonl").stat().st_size
    out = succeed("runs", "show", run).out
    first = results["metrics"][0]
    assert f"[{first['ci'][0]:.4f}, {first['ci'][1]:.4f}]" in out
    assert results["run_sha256"] in out
    assert "stages/search.jsonl" in out
    assert "some below" in convbench("runs", "show", runs).error


def test_gc_only_says_what_could_go(runs):
    run = runs / "qrecc"
    fail(run)
    age(run, 10)
    before = sorted(runs.rglob("*"))
    out = succeed("runs", "gc", runs).out
    assert f"can go: {run}: the run failed" in out
    assert sorted(runs.rglob("*")) == before
    assert "nothing can go" in succeed("runs", "gc", runs, "--older-than", "11").out
    assert f"removed: {run}" in succeed("runs", "gc", runs, "--delete").out
    assert not run.exists()
    assert names(runs) == ["topiocqa/bm25-query", "topiocqa/bm25-rewrite"]


def test_gc_keeps_finished_runs_unless_told_how_old(runs):
    age(runs, 100)
    assert "nothing can go" in succeed("runs", "gc", runs, "--delete").out
    assert "--older-than" in convbench("runs", "gc", runs, "--finished", "--delete").error
    assert len(names(runs)) == 3
    succeed("runs", "gc", runs, "--finished", "--older-than", "50", "--delete")
    assert convbench("runs", "list", runs).code == 3


def test_gc_refuses_a_run_that_a_process_holds_and_urls(runs):
    run = runs / "qrecc"
    fail(run, "running")
    age(run, 10)
    with holder(run):
        found = succeed("runs", "gc", runs, "--delete")
        assert f"stays: {run}: a process works in it" in found.err
    assert (run / "turns.jsonl").exists()
    assert "use a path" in convbench("runs", "gc", f"file://{runs}").error


def test_gc_goes_on_where_one_may_not_be_removed(runs):
    held, other = runs / "qrecc", runs / "topiocqa" / "bm25-query"
    for run in (held, other):
        fail(run)
    age(runs, 10)
    with read_only(held):
        found = convbench("runs", "gc", runs, "--delete", "--json")
    assert found.code == 6
    assert [each["place"] for each in found.json["garbage"]] == [str(other)]
    assert [each["place"] for each in found.json["kept"]] == [str(held)]
    assert found.err.startswith("error: ")
    assert found.err.count("\n") == 1
    assert not other.exists()
    assert (held / "run.json").exists()


@pytest.mark.parametrize("command", ["list", "gc"])
def test_an_empty_text_is_not_the_working_directory(runs, monkeypatch, command):
    monkeypatch.chdir(runs)
    assert "empty text" in convbench("runs", command, "").error


def test_gc_wants_a_number_of_days(runs):
    assert "--older-than nan" in convbench("runs", "gc", runs, "--older-than", "nan").error


def test_export_is_read_by_compare_and_has_the_same_bytes(runs, tmp_path):
    first, second = tmp_path / "a.tar.gz", tmp_path / "b.tar.gz"
    succeed("runs", "export", runs / "topiocqa", "-o", first)
    moved = Path(shutil.copytree(runs, tmp_path / "elsewhere"))
    age(moved, 3)
    succeed("runs", "export", moved / "topiocqa", "-o", second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    succeed("compare", tmp_path / "unpacked", "--out", tmp_path / "report", "--resamples", "100", "--no-figures")
    assert "is there already" in convbench("runs", "export", runs / "topiocqa", "-o", first).error


def test_export_stays_within_the_bundle(runs, tmp_path, monkeypatch):
    (tmp_path / "run.json").write_text("mine")
    monkeypatch.chdir(runs / "qrecc" / "stages")
    succeed("runs", "export", "..", "-o", tmp_path / "bundle")
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["bundle.json", "qrecc"]
    assert (tmp_path / "run.json").read_text() == "mine"


def test_export_takes_each_run_once(runs, tmp_path):
    named = (runs / "qrecc", f"file://{runs}/qrecc", runs / "topiocqa" / ".." / "qrecc", runs)
    found = succeed("runs", "export", *named, "-o", f"file://{tmp_path}/new/deep/bundle.tar.gz", "--json").json
    assert found["runs"] == 3
    with tarfile.open(tmp_path / "new" / "deep" / "bundle.tar.gz") as archive:
        assert len([member for member in archive if member.name.endswith("/run.json")]) == 3
    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == ["bundle.tar.gz"]
    assert "empty text" in convbench("runs", "export", runs, "-o", "").error


def test_export_names_the_paths_that_go_along(runs, tmp_path):
    run = runs / "qrecc"
    spec = json.loads((run / "run.json").read_text())["spec"]
    spec["dataset"]["data"] = "/data/official/qrecc"
    change(run, spec=spec)
    found = succeed("runs", "export", run, "-o", tmp_path / "bundle")
    assert "/data/official/qrecc" in found.err
    held = [path.name for path in (tmp_path / "bundle").rglob("*") if path.is_file() and "/data/official" in path.read_text()]
    assert held == ["run.json"]


def test_sql_answers_in_three_forms(runs):
    sql = "SELECT run, avg(value) AS mean FROM scores WHERE measure = 'nDCG@3' GROUP BY run ORDER BY run"
    found = succeed("runs", "sql", sql, "--folder", runs, "--json").json
    for row in found:
        results = json.loads((runs / row["run"] / "results.json").read_text())
        assert row["mean"] == pytest.approx(next(each["value"] for each in results["metrics"] if each["name"] == "nDCG@3"))
    as_csv = list(csv.DictReader(io.StringIO(succeed("runs", "sql", sql, "--folder", runs, "--csv").out)))
    assert [(row["run"], float(row["mean"])) for row in as_csv] == [(row["run"], row["mean"]) for row in found]
    assert succeed("runs", "sql", sql, "--folder", runs).out.splitlines()[0].split() == ["run", "mean"]
    limited = succeed("runs", "sql", "SELECT * FROM turns", "--folder", runs, "--limit", "2", "--json")
    assert len(limited.json) == 2
    assert "only the first 2 rows" in limited.err


def test_sql_loses_no_column_and_no_number(runs):
    twice = "SELECT a.value, b.value, 0.5 AS half, [1, 2] AS list FROM scores a JOIN scores b USING (run) LIMIT 1"
    (row,) = succeed("runs", "sql", twice, "--folder", runs, "--json").json
    assert list(row) == ["value", "value_1", "half", "list"]
    assert row["half"] == 0.5
    (row,) = csv.DictReader(io.StringIO(succeed("runs", "sql", twice, "--folder", runs, "--csv").out))
    assert json.loads(row["list"]) == [1, 2]
    tables = succeed("runs", "sql", "SELECT table_name FROM duckdb_tables() ORDER BY ALL", "--folder", runs, "--json").json
    assert [row["table_name"] for row in tables] == ["runs", "scores", "turns"]


@pytest.mark.slow
@pytest.mark.parametrize(("signalled", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_sql_can_be_stopped(runs, signalled, code):
    endless = "SELECT count(*) FROM range(100000) a, range(10000000) b WHERE hash(a.range, b.range) % 7 = 1"
    heeded = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "convbench", "runs", "sql", endless, "--folder", str(runs)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeded)
    time.sleep(6)
    process.send_signal(signalled)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert "interrupted" in err


def test_sql_that_is_wrong_is_one_line(runs):
    assert "syntax error" in convbench("runs", "sql", "SELECT FROM WHERE", "--folder", runs).error
    assert "tables: runs, scores, turns" in convbench("runs", "sql", "SELECT * FROM results", "--folder", runs).error
    assert "choose one" in convbench("runs", "sql", "SELECT 1", "--folder", runs, "--json", "--csv").error


def test_a_missing_package_is_one_line(runs):
    blocked = "import sys; sys.modules['duckdb'] = sys.modules['fsspec'] = None\nfrom convbench.cli.main import main\nmain()"
    for arguments in (["sql", "SELECT 1", "--folder", str(runs)], ["list", f"file://{runs}"]):
        done = subprocess.run([sys.executable, "-c", blocked, "runs", *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 5
        assert done.stderr.count("\n") == 1
        assert "pip install 'convbench[store]'" in done.stderr


@contextlib.contextmanager
def read_only(folder: Path):
    """A folder that nothing may be removed from, not even by root."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    changed = shutil.which("chattr") and subprocess.run(["chattr", "+i", folder / "turns.jsonl"], capture_output=True, check=False)
    if not changed or changed.returncode != 0:
        pytest.skip("root may remove anything here: chattr is missing, or not for this file system")
    yield
    subprocess.run(["chattr", "-i", folder / "turns.jsonl"], check=True)


def holder(run: Path):
    """A process that holds the lock of a run folder."""
    code = "import sys; from pathlib import Path; from convbench.harness.folder import RunFolder\n"
    code += "with RunFolder(Path(sys.argv[1])).locked():\n    print('held', flush=True); sys.stdin.read()"

    @contextlib.contextmanager
    def held():
        process = subprocess.Popen([sys.executable, "-c", code, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.communicate(timeout=30)

    return held()
