"""Submissions that try to take another's place, break what reads them, or stand for more than they are."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from measured_boards import Line, add_track, change_card, change_run, findings, folder_of, submit_baseline, verified

from convbench.errors import DataError, ResourceError
from convbench.leaderboard import measured as measuring
from convbench.leaderboard.entries import Scored, Unscored, read_entries
from convbench.leaderboard.track import read_track
from convbench.leaderboard.track_data import Files, open_track
from convbench.leaderboard.verify import Outcome, verify

TRACK = "topiocqa-mini"
_DROP, _DAC_OVERRIDE, _DAC_READ_SEARCH = 24, 1, 2  # of Linux: prctl, and two capabilities


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("work")
    add_track(work / "board", TRACK)
    for name in ("bm25-query", "first-sentence"):
        submit_baseline(work / "board", TRACK, name, work)
    return work


@pytest.fixture
def root(work: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(work / "board", tmp_path / "board"))


@pytest.fixture
def cache(work: Path, tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "stores").symlink_to(work / "cache" / "stores")
    return tmp_path / "cache"


def again(root: Path, cache: Path) -> list[Outcome]:
    return verify(root, (TRACK,), files=Files(), cache=cache, jobs=1)


def copy_of(root: Path, id_: str, source: str = "bm25-query", **changes: Any) -> Path:
    """A submission of somebody else, made of one that is there, without what was verified."""
    folder = Path(shutil.copytree(folder_of(root, TRACK, source), folder_of(root, TRACK, id_)))
    (folder / "verified.json").unlink(missing_ok=True)
    change_card(root, TRACK, id_, **{"id": id_, "name": f"System {id_}", "baseline": None, "scores": {}, **changes})
    return folder


def unscored(root: Path) -> dict[str, Unscored]:
    return {entry.id: entry for entry in read_entries(root, TRACK) if isinstance(entry, Unscored)}


def scored(root: Path) -> dict[str, Scored]:
    return {entry.id: entry for entry in read_entries(root, TRACK) if isinstance(entry, Scored)}


# ---- names


@pytest.mark.parametrize("changes", [{"submitted": "2018-01-01"}, {"submitted": "2018-01-01", "name": "BM25-Query"}])
def test_a_newcomer_evicts_nobody(root: Path, cache: Path, changes: dict[str, Any]) -> None:
    again(root, cache)
    copy_of(root, "aaa", **{"name": "bm25-query", **changes})
    for _ in range(2):
        found = verified(again(root, cache))
        assert (found["bm25-query"].level, found["aaa"].level) == ("reproduced", None)
        assert "of the submission bm25-query; choose another name" in findings(found["aaa"], "refused")["name-taken"].message


def test_an_older_name_with_an_accent_stays(root: Path, cache: Path) -> None:
    change_card(root, TRACK, "bm25-query", name="Système-X", baseline=None)
    again(root, cache)
    copy_of(root, "newer", name="Systeme-X", submitted="2026-05-01")
    found = verified(again(root, cache))
    assert (found["bm25-query"].level, found["newer"].level) == ("re-scored", None)


def test_whose_files_changed_since_has_no_claim_to_a_name(root: Path, cache: Path) -> None:
    copy_of(root, "other", name="Some name", submitted="2026-01-01")
    again(root, cache)
    change_card(root, TRACK, "other", name="bm25-query")
    found = verified(again(root, cache))
    assert (found["bm25-query"].level, found["other"].level) == ("reproduced", None)


def test_two_accepted_ones_are_both_marked(root: Path, cache: Path) -> None:
    change_card(root, TRACK, "first-sentence", name="bm25-quеry")
    again(root, cache)
    path = folder_of(root, TRACK, "first-sentence") / "verified.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "level": "re-scored"}), encoding="utf-8")
    found = verified(again(root, cache))
    assert None not in [own.level for own in found.values()]
    assert all("name-shared" in findings(own, "flag") for own in found.values())


def test_a_day_that_lies_ahead_is_refused_and_a_copy_is_noted(root: Path, cache: Path) -> None:
    copy_of(root, "later", submitted="9999-12-31")
    copy_of(root, "copied")
    for _ in range(2):
        found = verified(again(root, cache))
        assert found["later"].level is None
        assert "lies ahead of today" in findings(found["later"], "refused")["submitted-ahead"].message
        assert found["copied"].level == "re-scored"
        assert "is that of bm25-query" in findings(found["copied"], "note")["same-run"].message
        assert "is that of copied" in findings(found["bm25-query"], "note")["same-run"].message


# ---- a verified.json that is of something else, or forged


def test_what_changed_since_is_pending(root: Path, cache: Path) -> None:
    again(root, cache)
    assert set(scored(root)) == {"bm25-query", "first-sentence"}
    change_card(root, TRACK, "bm25-query", description="Another one altogether.")
    shutil.copy(folder_of(root, TRACK, "bm25-query") / "run.jsonl.gz", folder_of(root, TRACK, "first-sentence"))
    for entry in unscored(root).values():
        assert (entry.status, entry.reasons) == ("pending", ("changed since it was verified",))
    assert set(unscored(root)) == {"bm25-query", "first-sentence"}
    again(root, cache)
    assert set(scored(root)) == {"bm25-query", "first-sentence"}


def test_a_refused_one_that_was_mended_is_pending(root: Path, cache: Path) -> None:
    kept = (folder_of(root, TRACK, "bm25-query") / "run.jsonl.gz").read_bytes()
    change_run(root, TRACK, "bm25-query", lambda lines: lines[1:])
    again(root, cache)
    assert unscored(root)["bm25-query"].status == "refused"
    (folder_of(root, TRACK, "bm25-query") / "run.jsonl.gz").write_bytes(kept)
    assert unscored(root)["bm25-query"].status == "pending"


@pytest.mark.parametrize("digests", [{"manifest_sha256": None, "run_sha256": None}, {"run_sha256": "0" * 64}])
def test_without_the_digests_nothing_counts(root: Path, cache: Path, digests: dict[str, Any]) -> None:
    again(root, cache)
    spoil(root, lambda values: values.update(digests))
    assert unscored(root)["bm25-query"].status == "pending"


@pytest.mark.parametrize("value", [1e308, -5, 1.5, True, "0.5", float("nan")])
def test_values_that_no_measure_has_are_not_shown(root: Path, cache: Path, value: object) -> None:
    again(root, cache)
    for change in (
        lambda values: values["scores"][0].update(value=value),
        lambda values: values["scores"][0].update(interval=[0.1, value]),
        lambda values: values["scores"][0]["by_depth"].update({"1": [value, 9]}),
    ):
        before = (folder_of(root, TRACK, "bm25-query") / "verified.json").read_bytes()
        spoil(root, change)
        assert unscored(root)["bm25-query"].status == "unreadable"
        (folder_of(root, TRACK, "bm25-query") / "verified.json").write_bytes(before)
    assert set(scored(root)) == {"bm25-query", "first-sentence"}


def spoil(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder_of(root, TRACK, "bm25-query") / "verified.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


# ---- files that nothing can read


def test_a_pipe_a_link_and_a_huge_file_stop_nobody(root: Path, cache: Path) -> None:
    for id_ in ("pipe", "huge", "moved"):
        copy_of(root, id_)
    (folder_of(root, TRACK, "pipe") / "manifest.yaml").unlink()
    os.mkfifo(folder_of(root, TRACK, "pipe") / "manifest.yaml")
    with (folder_of(root, TRACK, "huge") / "verified.json").open("wb") as file:
        file.truncate(1 << 36)
    shutil.move(folder_of(root, TRACK, "moved"), root / "elsewhere")
    folder_of(root, TRACK, "moved").symlink_to(root / "elsewhere")
    assert unscored(root)["huge"].reasons[0].endswith("larger than 32 MiB; verify the submission again")
    found = verified(again(root, cache))
    assert {id_: own.level for id_, own in found.items()} == {
        "bm25-query": "reproduced",
        "first-sentence": "reproduced",
        "huge": "re-scored",
        "moved": None,
        "pipe": None,
    }
    assert "is a symbolic link, which is not followed" in findings(found["moved"], "refused")["link"].message
    assert sorted(path.name for path in (root / "elsewhere").iterdir()) == ["manifest.yaml", "run.jsonl.gz"]
    entries = unscored(root)
    assert set(scored(root)) == {"bm25-query", "first-sentence", "huge"}
    assert "manifest.yaml is a pipe, expected a plain file" in entries["pipe"].reasons
    assert "is a symbolic link, which is not followed" in entries["moved"].reasons[0]


WITHOUT_POWER = """
import json, sys
from pathlib import Path
from convbench.leaderboard.entries import Scored, read_entries
from convbench.leaderboard.track_data import Files
from convbench.leaderboard.verify import verify
root, cache, track = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
found = {each.submission: [each.verified.level, [f.message for f in each.verified.findings if f.severity == "refused"]]
         for each in verify(root, (track,), files=Files(), cache=cache, jobs=1)}
entries = {each.id: "scored" if isinstance(each, Scored) else each.status for each in read_entries(root, track)}
print(json.dumps([found, entries]))
"""


def without_power() -> None:
    """Takes from the superuser what reads and writes files whatever their mode, for the command that is started next."""
    libc = ctypes.CDLL(None, use_errno=True)
    for power in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
        if libc.prctl(_DROP, power, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "a capability cannot be dropped")


def test_what_may_not_be_read_or_written_stops_nobody(root: Path, work: Path, tmp_path: Path) -> None:
    modes = {"no-run": 0, "no-manifest": 0, "sealed": 0, "listed": 0o444, "fixed": 0o555}
    for id_ in modes:
        copy_of(root, id_)
    closed = [
        folder_of(root, TRACK, "no-run") / "run.jsonl.gz",
        folder_of(root, TRACK, "no-manifest") / "manifest.yaml",
        *(folder_of(root, TRACK, id_) for id_ in ("sealed", "listed", "fixed")),
    ]
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "stores").symlink_to(work / "cache" / "stores")
    for path, mode in zip(closed, modes.values(), strict=True):
        path.chmod(mode)
    command = [sys.executable, "-c", WITHOUT_POWER, str(root), str(tmp_path / "cache"), TRACK]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=without_power if os.geteuid() == 0 else None)
    except subprocess.SubprocessError:
        pytest.skip("the superuser's powers cannot be dropped here")
    finally:
        for path in closed:
            path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    found, entries = json.loads(done.stdout.splitlines()[-1])
    reproduced = dict.fromkeys(("bm25-query", "first-sentence"), "reproduced")
    assert {id_: level for id_, (level, _) in found.items()} == reproduced | dict.fromkeys(modes)
    assert {id_: reasons[-1] for id_, (_, reasons) in found.items() if id_ in modes} == {
        "no-run": "run.jsonl.gz: cannot be read (Permission denied)",
        "no-manifest": "manifest.yaml: cannot be read: permission denied",
        "fixed": "verified.json cannot be written: permission denied: choose a place you may write to",
        **dict.fromkeys(("sealed", "listed"), "verified.json cannot be written: Permission denied"),
    }
    assert entries == dict.fromkeys(reproduced, "scored") | {
        "no-run": "refused",
        "no-manifest": "unreadable",
        "sealed": "unreadable",
        "listed": "unreadable",
        "fixed": "pending",
    }


# ---- faults of ours


@pytest.mark.parametrize("error", [AttributeError("ours"), ResourceError("no weights"), MemoryError()])
def test_a_fault_that_is_not_theirs_refuses_nobody(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    again(root, cache)
    path = folder_of(root, TRACK, "bm25-query") / "verified.json"
    before = path.read_bytes()
    shutil.rmtree(cache / "leaderboards" / "measured")
    scoring = measuring.rescore

    calls = []

    def breaks(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:  # they come by id
            raise error
        return scoring(*given)

    monkeypatch.setattr(measuring, "rescore", breaks)
    copy_of(root, "newcomer", name="bm25-query")  # what broke keeps its name all the same
    outcomes = again(root, cache)
    assert "name-taken" in findings(verified(outcomes)["newcomer"], "refused")
    (broken,) = [outcome for outcome in outcomes if outcome.broken]
    assert (broken.submission, broken.changed, type(error).__name__ in broken.reason) == ("bm25-query", False, True)
    assert path.read_bytes() == before
    assert verified(outcomes)["first-sentence"].level == "reproduced"
    monkeypatch.undo()
    assert verified(again(root, cache))["bm25-query"].level == "reproduced"


def test_a_fault_of_theirs_does(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any) -> Any:
        raise DataError("run.jsonl.gz", "no run")

    monkeypatch.setattr(measuring, "rescore", breaks)
    assert {own.level for own in verified(again(root, cache)).values()} == {None}


# ---- more than they are


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "agent"}, "its kind is 'two-stage', and kind is 'agent'"),
        ({"parameters": 70 * 10**9}, "it has no parameters, and parameters is 70000000000"),
        ({"checkpoints": [{"name": "my/70b"}]}, "its checkpoints are none, and those given are 70b"),
    ],
)
def test_a_card_that_is_not_the_baselines_is_not_reproduced(root: Path, cache: Path, changes: dict[str, Any], said: str) -> None:
    change_card(root, TRACK, "bm25-query", **changes)
    found = verified(again(root, cache))["bm25-query"]
    assert found.level == "re-scored"
    assert said in findings(found, "flag")["not-reproduced"].message


def reworded(how: Callable[[str], str], gold: dict[str, str]) -> Callable[[list[Line]], list[Line]]:
    return lambda lines: [{**line, "response": how(gold[line["turn_id"]])} for line in lines]


@pytest.mark.parametrize(
    "how",
    [
        lambda text: f"Well {text}",
        lambda text: text.replace("a", "\u0430").replace("e", "\u0435"),
        lambda text: " ".join(reversed(text.split())),
        lambda text: text.replace(" ", " , "),
        lambda text: text.replace(" ", "\u200b ").replace("o", "0"),
        lambda text: text.replace("e", "e\u0301").upper(),
    ],
)
def test_copied_gold_in_disguise_is_flagged(root: Path, cache: Path, how: Callable[[str], str]) -> None:
    gold = {turn.id: turn.references[0].text for turn in open_track(read_track(root, TRACK), Files(), cache).dataset.turns}
    change_run(root, TRACK, "first-sentence", reworded(how, gold))
    change_card(root, TRACK, "first-sentence", baseline=None, scores={})
    found = verified(again(root, cache))
    assert "of 56 responses" in findings(found["first-sentence"], "flag")["responses-copied"].message
    assert "responses-copied" not in findings(found["bm25-query"])


@pytest.mark.parametrize(
    "how", [lambda _: "There is no answer to that.", lambda text: " ".join(text.split()[: len(text.split()) // 2]), lambda text: text[:3]]
)
def test_what_is_no_copy_is_not_flagged(root: Path, cache: Path, how: Callable[[str], str]) -> None:
    gold = {turn.id: turn.references[0].text for turn in open_track(read_track(root, TRACK), Files(), cache).dataset.turns}
    change_run(root, TRACK, "first-sentence", reworded(how, gold))
    change_card(root, TRACK, "first-sentence", baseline=None, scores={})
    assert not findings(verified(again(root, cache))["first-sentence"])
