"""What may go from a folder of runs, and what must stay."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from convbench.store.garbage import plan_removal, remove

WEEK = 7.0


@pytest.fixture
def root(two_runs, tmp_path) -> Path:
    return Path(shutil.copytree(two_runs, tmp_path / "runs"))


def end(run: Path, status: str) -> None:
    (run / "results.json").unlink()
    note(run, status=status)


def note(run: Path, **values) -> None:
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | values))


def age(folder: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for path in folder.rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)


def clear(root: Path, **settings) -> list[str]:
    plan = plan_removal(root, days=WEEK, **settings)
    return [kept.reason for found in plan.garbage if (kept := remove(found))]


@pytest.mark.parametrize("status", ["failed", "running"])
def test_an_old_unfinished_run_goes_whole(root, status):
    end(root / "a", status)
    age(root, 8)
    assert clear(root) == []
    assert [path.name for path in root.iterdir()] == ["deep"]


def test_a_young_file_keeps_the_run(root):
    end(root / "a", "failed")
    age(root, 8)
    (root / "a" / "stages" / "search.0123456789abcdef.part").write_text("{}")
    assert plan_removal(root, days=WEEK).garbage == ()
    assert [found.kind for found in plan_removal(root, days=0).garbage] == ["run"]


def test_files_of_others_and_what_links_lead_to_stay(root, tmp_path):
    outside = tmp_path / "outside"
    (outside / "stages").mkdir(parents=True)
    for name in ("precious.jsonl", "stages/precious.jsonl"):
        (outside / name).write_text("{}")
    run = root / "a"
    end(run, "failed")
    (run / "notes.txt").write_text("mine")
    (run / "inner").symlink_to(outside)
    shutil.rmtree(run / "stages")
    (run / "stages").symlink_to(outside / "stages")
    (run / "report.md").unlink()
    (run / "report.md").symlink_to(outside / "precious.jsonl")
    age(root, 8)
    (reason,) = clear(root)
    assert "notes.txt" in reason
    assert sorted(path.name for path in run.iterdir()) == ["inner", "notes.txt", "report.md", "stages"]
    assert sorted(path.name for path in outside.rglob("*")) == ["precious.jsonl", "precious.jsonl", "stages"]


def test_only_names_that_convbench_gives_go(root):
    run = root / "a"
    end(run, "failed")
    mine = [
        "scores.parquet",
        ".notes.txt.12.tmp",
        "turns.jsonl.bak",
        "stages/annotations.jsonl",
        "stages/search-by-hand.jsonl",
        "stages/model.part",
        "stages/search.part",
        "stages/.annotations.jsonl.7.tmp",
    ]
    for name in mine:
        (run / name).write_text("mine")
    ours = ["stages/search.0123456789abcdef.part", "stages/agreement-own.jsonl", "stages/.search.jsonl.7.tmp", ".turns.jsonl.7.tmp"]
    for name in ours:
        (run / name).write_text("{}")
    age(root, 8)
    clear(root)
    assert sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()) == sorted(mine)


def test_a_run_that_was_scored_is_finished_whatever_came_later(root):
    run = root / "a"
    note(run, status="failed")  # the same command with other metrics, which was stopped
    age(root, 8)
    plan = plan_removal(root, days=WEEK)
    assert plan.garbage == ()
    ((place, reason),) = [(kept.place, kept.reason) for kept in plan.kept]
    assert place == run
    assert "--finished" in reason
    (found, _) = plan_removal(root, days=WEEK, finished=True).garbage
    assert (found.place, found.reason) == (run, "it was scored, and a later execution did not finish")


def test_files_that_go_in_the_meantime_do_no_harm(root):
    end(root / "a", "failed")
    age(root, 8)
    (found,) = plan_removal(root, days=WEEK).garbage
    assert remove(found) is None  # another process was first
    assert remove(found) is None
    assert sorted(path.name for path in root.iterdir()) == ["deep"]


def test_several_clear_at_once(root):
    end(root / "a", "failed")
    for number in range(40):
        shutil.copytree(root / "a", root / f"failed-{number}")
    shutil.rmtree(root / "a")
    age(root, 8)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(clear, root) for _ in range(4)]:
            assert not [reason for reason in done.result() if not re.search(r"process works|meantime|\.lock", reason)]
    clear(root)
    assert sorted(path.name for path in root.iterdir()) == ["deep"]


def test_runs_within_a_failed_run_stay(root):
    shutil.copytree(root / "deep" / "b", root / "a" / "b")
    end(root / "a", "failed")
    age(root, 8)
    clear(root)
    assert sorted(path.name for path in (root / "a").iterdir()) == ["b"]
    assert (root / "a" / "b" / "results.json").exists()


def test_leftovers_of_finished_runs_go_and_nothing_else(root):
    before = set(root.rglob("*"))
    left = [
        root / "a" / "stages" / "score-x.1-y.0123456789abcdef.part",
        root / "a" / ".scores.jsonl.123.tmp",
        root / "a" / "stages" / ".view.jsonl.9.tmp",
    ]
    left.append(root / ".report.html.77.tmp")
    for path in left:
        path.write_text("{")
    other = root / ".mine.tmp"
    other.write_text("not ours")
    age(root, 8)
    plan = plan_removal(root, days=WEEK)
    assert sorted(file for found in plan.garbage for file in found.files) == sorted(left)
    assert clear(root) == []
    assert set(root.rglob("*")) == before | {other}


def test_what_cannot_be_read_is_kept_and_named(root):
    (root / "a" / "run.json").write_text("{")
    age(root, 100)
    plan = plan_removal(root, days=WEEK, finished=True)
    assert [found.place for found in plan.garbage] == [root / "deep" / "b"]
    assert ["run.json" in kept.reason for kept in plan.kept] == [True]


def test_a_run_that_was_taken_up_since_is_kept(root):
    end(root / "a", "failed")
    age(root, 8)
    (found,) = plan_removal(root, days=WEEK).garbage
    (root / "a" / "turns.jsonl").write_text("new")
    kept = remove(found)
    assert kept is not None
    assert not kept.partly
    assert "turns.jsonl was written in the meantime" in kept.reason
    assert (root / "a" / "run.json").exists()


def test_a_lock_that_is_a_link_is_never_opened(root, tmp_path):
    end(root / "a", "failed")
    (root / "a" / ".lock").unlink()
    (root / "a" / ".lock").symlink_to(tmp_path / "made-by-a-link")
    age(root, 8)
    plan = plan_removal(root, days=WEEK)
    assert plan.garbage == ()
    assert not (tmp_path / "made-by-a-link").exists()


def test_a_link_that_is_named_is_the_folder_and_one_within_is_not(root, tmp_path):
    end(root / "a", "failed")
    hollow = root / "hollow"
    hollow.mkdir()
    (hollow / "run.json").symlink_to(root / "a" / "run.json")
    age(root, 8)
    (tmp_path / "named").symlink_to(root / "a")
    (found,) = plan_removal(tmp_path / "named", days=WEEK).garbage
    assert found.place == root / "a"
    plan = plan_removal(root, days=WEEK)
    assert [found.place for found in plan.garbage] == [root / "a"]
    assert ["only links" in kept.reason for kept in plan.kept] == [True]
