"""What stops a pull request to the leaderboards, and what only a maintainer lets through, judged from real outcomes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from boards import write_submission
from command_line import convbench
from measured_boards import add_track, change_card, change_run, folder_of, submit_baseline

TRACK, SAMPLE = "topiocqa-mini", "topiocqa-sample"
SCRIPT = Path(__file__).parents[2] / ".github" / "leaderboard_changes.py"

Judge = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mini track with a good submission and one that was refused, and a sample track whose data are not at hand."""
    work = tmp_path_factory.mktemp("base")
    root = work / "leaderboards"
    for track in (TRACK, SAMPLE):
        add_track(root, track)
    submit_baseline(root, TRACK, "bm25-query", work)
    shutil.copytree(folder_of(root, TRACK, "bm25-query"), folder_of(root, TRACK, "short"))
    change_card(root, TRACK, "short", id="short", name="Short", baseline=None, scores=None)
    change_run(root, TRACK, "short", lambda lines: lines[:-1])
    write_submission(root, SAMPLE, "earlier", {"nDCG@3": 0.2}, card={"name": "Earlier", "track": SAMPLE})
    assert verify(root)[0] == 4
    return root


@pytest.fixture
def proposed(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "leaderboards"))


def verify(root: Path) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CONVBENCH_REAL_DATA", raising=False)
        done = convbench("leaderboard", "verify", "--check", "--json", "--root", root)
    return done.code, done.out


@pytest.fixture
def judge(base: Path, proposed: Path, tmp_path: Path) -> Judge:
    """Verifies what is proposed, as the workflow does, and judges it."""

    def judge_(approved: bool = False) -> tuple[int, str]:
        code, printed = verify(proposed)
        assert code in (0, 1, 4)
        return run(base, proposed, printed, tmp_path, approved=approved)

    return judge_


def run(base: Path, proposed: Path, outcomes: str, work: Path, *, approved: bool = False) -> tuple[int, str]:
    (work / "outcomes.json").write_text(outcomes, encoding="utf-8")
    environment = {**os.environ, "APPROVED": str(approved).lower()}
    words = [sys.executable, "-I", str(SCRIPT), str(base), str(proposed), str(work / "outcomes.json")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_was_refused_before_stops_nobody(judge, proposed):
    assert judge() == (0, "")
    shutil.copytree(folder_of(proposed, TRACK, "bm25-query"), folder_of(proposed, TRACK, "mine"))
    change_card(proposed, TRACK, "mine", id="mine", name="Mine", baseline=None)
    change_run(proposed, TRACK, "mine", lambda lines: [{**line, "passages": line["passages"][::2]} for line in lines])
    verify(proposed)  # as who sends it in does
    assert judge() == (0, "")


def test_a_refused_submission_of_its_own_stops_it(judge, proposed):
    change_run(proposed, TRACK, "bm25-query", lambda lines: lines[1:])
    verify(proposed)
    for approved in (False, True):
        code, said = judge(approved)
        assert code == 1
        assert f"to mend: {TRACK}/bm25-query: refused: " in said
        assert f"{TRACK}/short" not in said


def test_another_verified_json_on_a_track_that_is_verified_here_stops_it(judge, proposed):
    path = folder_of(proposed, TRACK, "bm25-query") / "verified.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"level": "reproduced"', '"level": "re-scored"'), encoding="utf-8")
    code, said = judge(approved=True)
    assert code == 1
    assert f"to mend: {TRACK}/bm25-query: verified.json is not what verifying gives" in said


def test_a_name_is_not_got_by_a_forged_verified_json(judge, proposed):
    folder = folder_of(proposed, TRACK, "thief")
    shutil.copytree(folder_of(proposed, TRACK, "bm25-query"), folder)
    change_card(proposed, TRACK, "thief", id="thief", baseline=None, submitted="2019-01-01")
    known = json.loads((folder / "verified.json").read_text(encoding="utf-8"))
    forged = {**known, "manifest_sha256": sha256((folder / "manifest.yaml").read_bytes()).hexdigest()}
    (folder / "verified.json").write_text(json.dumps(forged), encoding="utf-8")
    verify(proposed)
    code, said = judge(approved=True)
    assert code == 1
    assert f"to mend: {TRACK}/thief: its name is another's" in said


@pytest.mark.parametrize("how", ["forged", "new", "gone"])
def test_scores_that_cannot_be_computed_here_need_a_maintainer(judge, proposed, how):
    folder = folder_of(proposed, SAMPLE, "earlier")
    if how == "forged":
        (folder / "verified.json").write_text((folder / "verified.json").read_text().replace("0.2,", "0.9,"), encoding="utf-8")
    elif how == "new":
        write_submission(proposed, SAMPLE, "later", {"nDCG@3": 0.99}, card={"name": "Later", "track": SAMPLE})
    else:
        shutil.rmtree(folder)
        write_submission(proposed, SAMPLE, "kept", None)
    code, said = judge()
    assert code == 1
    assert f"for a maintainer: {SAMPLE}/submissions/" in said
    assert "verified-by-hand" in said
    code, said = judge(approved=True)
    assert (code, "approved: " in said) == (0, True)


@pytest.mark.parametrize("name", [f"{TRACK}/track.yaml", f"{TRACK}/published.yaml", "notes.txt"])
def test_rules_and_reported_numbers_need_a_maintainer(base, proposed, tmp_path, name):
    with (proposed / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    outcomes = verify(base)[1]
    assert run(base, proposed, outcomes, tmp_path)[0] == 1
    code, said = run(base, proposed, outcomes, tmp_path, approved=True)
    assert code == 0
    assert f"approved: {name}: " in said


def test_taking_a_submission_away_needs_a_maintainer(judge, proposed):
    shutil.rmtree(folder_of(proposed, TRACK, "short"))
    code, said = judge()
    assert code == 1
    assert "short/run.jsonl.gz: removed; a submission is taken away" in said
    assert judge(approved=True)[0] == 0


def test_one_that_is_refused_now_and_was_not_stops_it_though_it_is_not_touched(base, proposed, tmp_path):
    outcomes = json.loads(verify(base)[1])
    for outcome in outcomes:
        if outcome["submission"] == "bm25-query":
            finding = {"check": "turns-missing", "severity": "refused", "message": "a turn is missing\n::error::"}
            outcome["verified"].update(level=None, findings=[finding])
    code, said = run(base, proposed, json.dumps(outcomes), tmp_path, approved=True)
    assert code == 1
    assert said == f"- to mend: {TRACK}/bm25-query: refused: a turn is missing\\n::error::\n"


def test_one_that_could_not_be_verified_stops_it(base, proposed, tmp_path):
    outcome = {"track": TRACK, "submission": "bm25-query", "verified": None, "changed": False, "reason": "AttributeError: x"}
    code, said = run(base, proposed, json.dumps([outcome]), tmp_path, approved=True)
    assert code == 1
    assert "could not be verified: AttributeError: x" in said


def test_an_unfinished_list_of_outcomes_and_a_link_are_no_pass(base, proposed, tmp_path):
    assert run(base, proposed, "", tmp_path, approved=True)[0] == 1
    (tmp_path / "link").symlink_to(proposed)
    assert run(base, tmp_path / "link", "[]", tmp_path, approved=True)[0] == 1


def test_a_link_in_the_place_of_a_file_is_a_change(base, proposed, tmp_path):
    (proposed / TRACK / "track.yaml").rename(tmp_path / "track.yaml")
    (proposed / TRACK / "track.yaml").symlink_to(tmp_path / "track.yaml")
    assert f"for a maintainer: {TRACK}/track.yaml: changed" in run(base, proposed, verify(base)[1], tmp_path)[1]


def test_what_is_generated_is_not_judged(base, proposed, tmp_path):
    assert convbench("leaderboard", "build", "--root", proposed).code == 0
    assert {path.name for path in proposed.iterdir()} >= {"README.md", "index.json", "site"}
    assert run(base, proposed, verify(base)[1], tmp_path) == (0, "")
