from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from measured_boards import Line, add_track, change_card, change_run, submit_baseline
from submission_folders import TURNS, card, records, submit, track_of, write_bytes

from convbench.errors import DataError, MissingFileError, UsageError
from convbench.io.digests import file_sha256
from convbench.leaderboard.check_folder import check_folder
from convbench.leaderboard.places import submission_folder
from convbench.leaderboard.track import read_track
from convbench.leaderboard.track_data import Files, open_track
from convbench.leaderboard.verified import Verified
from convbench.leaderboard.verify import verify
from convbench.validation.validate import Report

TRACK = "topiocqa-mini"
SUBMITTED = ("bm25-query", "first-sentence")
SCORED = {"scores-differ", "scores-unchecked", "not-reproduced"}
SEVERITIES = {"refused": "error", "flag": "warning", "note": "info"}


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    track_of(tmp_path / "boards")
    return tmp_path / "boards"


def check(folder: Path, boards: Path, **given: Any) -> Report:
    return check_folder(folder, **{"root": boards, "real_data": None, "data": None, "cache": boards.parent / "cache", **given})


def errors(folder: Path, boards: Path) -> list[str]:
    """What is wrong; that the data of the toy track are not at hand is known."""
    report = check(folder, boards)
    assert all(problem.to_line().isprintable() and len(problem.message) < 500 for problem in report.problems)
    return [f"{problem.check}: {problem.message}" for problem in report.problems if problem.severity == "error"]


def elsewhere(boards: Path, id_: str = "ours", **values: Any) -> Path:
    """A submission under a name of its own, in no folder of leaderboards."""
    return Path(shutil.move(submit(boards, id_, **values), boards.parent / "sent"))


def test_a_submission_stands_anywhere(boards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = submit(boards, "ours", training=[])
    moved = Path(shutil.copytree(folder, boards.parent / "sent"))
    for place in (folder, moved):
        report = check(place, boards)
        assert [problem.check for problem in report.problems] == ["unchecked-dataset"]
        assert report.problems[0].message.endswith("track toy: the files of topiocqa are not at hand: name their folder")
        assert report.verdict() == "submission to toy, 3 turns: 1 warning"
        monkeypatch.chdir(place)
        assert check(Path(), boards) == check(Path("..") / place.name, boards) == report


def test_its_place_says_what_it_is_and_its_card_where_there_is_none(boards: Path) -> None:
    folder = submit(boards, "ours")
    change(folder, id="theirs")
    assert errors(folder, boards) == ["submission-id: manifest.yaml: id: expected 'ours', the folder's name, found 'theirs'"]
    change(folder, track="topiocqa-mini")
    expected = ["other-track: manifest.yaml: track: 'topiocqa-mini', but the submission stands in toy: move it"]
    assert errors(folder, boards) == expected
    assert errors(folder, boards.parent / "no-such-root") == expected
    change(folder, id="theirs")
    assert errors(Path(shutil.move(folder, boards.parent / "sent")), boards) == []


@pytest.mark.parametrize("name", ["toi", "../../etc", "/etc", "..", "toy/submissions", "'"])
def test_a_track_that_is_not_known(boards: Path, name: str) -> None:
    (said,) = errors(elsewhere(boards, track=name), boards)
    assert said.startswith(f"other-track: manifest.yaml: track: unknown track {name!r}.")
    assert said.endswith("Known: toy")
    assert ("Did you mean 'toy'?" in said) == (name == "toi")


def test_what_is_wrong_with_the_leaderboards_is_not_the_submissions_fault(boards: Path) -> None:
    folder = elsewhere(boards)
    with pytest.raises(MissingFileError, match="no tracks here"):
        check(folder, boards.parent)
    (boards / "toy" / "track.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(DataError, match=r"track\.yaml"):
        check(folder, boards)
    track_of(boards, dataset="topiocqa", set=TRACK)
    with pytest.raises(UsageError, match="they are not its files"):
        check(folder, boards)
    with pytest.raises(UsageError, match="is scored on the set topiocqa-mini"):
        check(folder, boards, data=boards)
    track_of(boards)
    with pytest.raises(MissingFileError, match="TopiOCQA"):
        check(folder, boards, data=boards)


def change(folder: Path, **values: Any) -> None:
    given = {key: value for key, value in card("ours", **values).items() if value is not ...}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": ...}, "name: field required"),
        ({"id": "../ours"}, "id: string should match pattern"),
        ({"name": "a\x1bb"}, "name: holds U+001B"),
        ({"kind": 3}, "kind: "),
        ({"turnset_sha256": "abc"}, "turnset_sha256: string should match pattern"),
        ({"descripton": "a system"}, "descripton: extra inputs are not permitted"),
        ({"dataset": "topiocqa", "split": "mini"}, "dataset: extra inputs are not permitted"),
    ],
)
def test_keys_of_the_card(boards: Path, values: dict[str, Any], said: str) -> None:
    folder = submit(boards, "ours")
    change(folder, **values)
    (found,) = errors(folder, boards)
    assert found.startswith("manifest: manifest.yaml:")
    assert said in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- ours\n", "expected a mapping, found list"),
        ("name: [\n", "not valid YAML"),
        ("name: !!python/object/apply:os.system [ls]\n", "not valid YAML: could not determine a constructor"),
        ("a: &a [x]\nb: *a\n", "anchors and aliases (& and *) are not read"),
        ("a: " + "[" * 5000, "nested deeper than"),
        ("#" * (1 << 21), "larger than"),
    ],
)
def test_a_card_and_a_run_that_cannot_be_read_are_both_named(boards: Path, text: str, said: str) -> None:
    for folder in (submit(boards, "ours"), elsewhere(boards, "theirs")):
        (folder / "manifest.yaml").write_text(text, encoding="utf-8")
        write_bytes(folder, b"{}\n")
        first, second = errors(folder, boards)
        assert first.startswith("manifest: manifest.yaml")
        assert said in first
        assert second == "run: run.jsonl.gz:1: field 'turn_id' is missing; expected a string"


def linked(folder: Path) -> None:
    (folder / "run.jsonl.gz").rename(folder.parent / ".elsewhere")
    (folder / "run.jsonl.gz").symlink_to(folder.parent / ".elsewhere")


def pipe(folder: Path) -> None:
    (folder / "run.jsonl.gz").unlink()
    os.mkfifo(folder / "run.jsonl.gz")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "responses.jsonl").symlink_to("/etc/passwd"), "link: responses.jsonl is a symbolic link"),
        (linked, "link: run.jsonl.gz is a symbolic link"),
        (pipe, "files: run.jsonl.gz is a pipe"),
        (lambda folder: (folder / "README.md").touch(mode=0o755), "files: README.md is no part of a submission"),
        (lambda folder: (folder / "model.PKL").touch(), "files: model.PKL is no part of a submission"),
        (lambda folder: (folder / "more").mkdir(), "files: more is no part of a submission"),
        (lambda folder: (folder / "turns.jsonl").touch(), "files: turns.jsonl is no part of a submission"),
        (lambda folder: (folder / "manifest.json").touch(), "files: manifest.json is no part of a submission"),
        (lambda folder: (folder / "run.jsonl.gz").unlink(), "files: run.jsonl.gz is missing"),
        (lambda folder: (folder / "manifest.yaml").unlink(), "files: manifest.yaml is missing"),
        (lambda folder: (folder / "run.jsonl.gz").write_bytes(b""), "run: run.jsonl.gz:1: no whole gzip file"),
        (lambda folder: write_bytes(folder, b'{"turn_id": "1_1", "passages": [["a", NaN]]}\n'), "run: run.jsonl.gz:1: "),
    ],
)
def test_files_that_are_not_allowed(boards: Path, spoil: Callable[[Path], object], said: str) -> None:
    for folder in (submit(boards, "ours"), elsewhere(boards, "theirs")):
        spoil(folder)
        (found,) = errors(folder, boards)
        assert found.startswith(said)


def test_a_crowd_of_files(boards: Path) -> None:
    folder = elsewhere(boards)
    for number in range(2000):
        (folder / f"{number}.txt").touch()
    assert len(errors(folder, boards)) < 20


def test_a_link_in_the_place_of_a_submission(boards: Path) -> None:
    moved = elsewhere(boards)
    (boards / "toy" / "submissions" / "ours").symlink_to(moved)
    (found,) = errors(boards / "toy" / "submissions" / "ours", boards)
    assert found.startswith("link: toy/submissions/ours is a symbolic link")


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (("turns.jsonl", "manifest.yaml"), "turns.jsonl"),
        (("retrieval.trec.gz", "responses.jsonl", "manifest.json", "README.md"), "retrieval.trec.gz"),
        (("manifest.json",), "manifest.json"),
    ],
)
def test_a_run_that_is_not_packed_gets_one_line(boards: Path, names: tuple[str, ...], first: str) -> None:
    folder = boards / "toy" / "submissions" / "ours"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("dataset: topiocqa\nsplit: mini\n", encoding="utf-8")
    for place in (folder, Path(shutil.copytree(folder, boards.parent / "sent"))):
        assert errors(place, boards) == [
            f"files: run.jsonl.gz is missing, and {first} is no part of a submission: pack a run folder with "
            "`convbench leaderboard submit`, a TREC run and responses with `convbench leaderboard import`"
        ]


def test_what_is_no_folder(boards: Path) -> None:
    (boards / "a.tar.gz").touch()
    assert errors(boards / "a.tar.gz", boards)[0].endswith("a.tar.gz: no folder; a submission is one, unpacked")
    assert errors(boards / "no", boards)[0].endswith("no: no such folder")


def test_a_name_that_is_taken(boards: Path) -> None:
    submit(boards, "theirs", name="System ours")
    (found,) = errors(elsewhere(boards, name="System οurs"), boards)
    assert found.startswith("name-taken: manifest.yaml: name: 'System \\u03bfurs' looks like 'System ours'")


def test_who_was_accepted_keeps_the_name(boards: Path) -> None:
    theirs = submit(boards, "theirs", name="Systéme-X")
    sent = elsewhere(boards, name="Systeme-X", submitted="2018-01-01")
    assert errors(sent, boards) == []  # nobody was accepted yet, and the plainer name is the newcomer's
    digests = {f"{key}_sha256": file_sha256(theirs / name) for key, name in (("manifest", "manifest.yaml"), ("run", "run.jsonl.gz"))}
    verified = Verified(key="k", level="re-scored", **digests)
    (theirs / "verified.json").write_text(verified.model_dump_json(), encoding="utf-8")
    (found,) = errors(sent, boards)
    assert found.startswith("name-taken: ")
    change(theirs, description="Changed.")
    assert errors(sent, boards) == []


def test_a_run_that_breaks_a_library_is_refused(boards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = submit(boards, "ours", [*records(), {"turn_id": "1_1\ud800"}])
    assert [found.partition(":")[0] for found in errors(folder, boards)] == ["run"]

    def broken(*_: object) -> None:
        raise RecursionError("too deep\x1b")

    monkeypatch.setattr("convbench.leaderboard.check_folder.contamination", broken)
    submit(boards, "plain")
    assert errors(submission_folder(boards, "toy", "plain"), boards) == [
        "unreadable: it could not be checked: RecursionError: too deep\\x1b",
    ]


# ---- the same as verifying


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("work")
    add_track(work / "board", TRACK)
    for name in SUBMITTED:
        submit_baseline(work / "board", TRACK, name, work)
    return work


def copied(root: Path, work: Path) -> None:
    turns = open_track(read_track(root, TRACK), Files(), work / "cache").dataset.turns
    references = {turn.id: turn.references[0].text for turn in turns}
    change_run(root, TRACK, "bm25-query", lambda lines: [{**line, "response": references[line["turn_id"]]} for line in lines])


def run(change: Callable[[list[Line]], list[Line]]) -> Callable[[Path, Path], object]:
    return lambda root, _: change_run(root, TRACK, "bm25-query", change)


def on_card(**values: Any) -> Callable[[Path, Path], object]:
    return lambda root, _: change_card(root, TRACK, "bm25-query", **values)


def in_folder(change: Callable[[Path], object]) -> Callable[[Path, Path], object]:
    return lambda root, _: change(submission_folder(root, TRACK, "bm25-query"))


@pytest.mark.parametrize(
    ("spoil", "check_name"),
    [
        (lambda *_: None, None),
        (on_card(scores={"nDCG@3": 0.99}), None),
        (run(lambda lines: lines[3:]), "turns-missing"),
        (run(lambda lines: [*lines, {**lines[0], "turn_id": "99_1"}]), "turns-extra"),
        (run(lambda lines: lines[::-1]), None),
        (run(lambda lines: [{**lines[0], "response": None}, *lines[1:]]), "turns-missing"),
        (run(lambda lines: [{**lines[0], "passages": [["wiki:7", 9.0]]}, *lines[1:]]), "other-collection"),
        (run(lambda lines: [{**lines[0], "passages": [["a", 1.0]] * 2}, *lines[1:]]), "run"),
        (run(lambda lines: [{"turn_id": line["turn_id"]} for line in lines]), "nothing-to-score"),
        (on_card(turnset_sha256="0" * 64), "other-turn-set"),
        (on_card(collection_sha256="0" * 64), "other-collection"),
        (on_card(track="orquac-mini"), "other-track"),
        (on_card(id="theirs"), "submission-id"),
        (on_card(evidence="gold"), "other-conditions"),
        (on_card(evidence=None), "conditions-unknown"),
        (on_card(name="first-sentеnce"), "name-taken"),
        (on_card(training=[{"source": "topiocqa", "split": "mini", "overlap": "none"}]), "overlap-denied"),
        (on_card(training=None, parameters=5), "training-unknown"),
        (on_card(kind="oracle"), "gold-shown"),
        (on_card(submitted="9999-12-31"), "submitted-ahead"),
        (on_card(colour="red"), "manifest"),
        (copied, "responses-copied"),
        (in_folder(lambda folder: (folder / "setup.py").touch()), "files"),
        (in_folder(lambda folder: (folder / "run.jsonl.gz").write_bytes(gzip.compress(b"[]\n"))), "run"),
    ],
)
def test_it_finds_what_verifying_finds_without_scoring(
    work: Path, tmp_path: Path, spoil: Callable[[Path, Path], object], check_name: str | None
) -> None:
    root = Path(shutil.copytree(work / "board", tmp_path / "board"))
    spoil(root, work)
    report = check(submission_folder(root, TRACK, "bm25-query"), root, cache=work / "cache")
    found = {(problem.severity, problem.check, problem.message) for problem in report.problems}
    verified = {outcome.submission: outcome.verified for outcome in verify(root, files=Files(), cache=work / "cache", jobs=1)}["bm25-query"]
    assert verified is not None
    expected = {(SEVERITIES[each.severity], each.check, each.message) for each in verified.findings if each.check not in SCORED}
    assert (found >= expected) if verified.level is None else (found == expected)  # verifying stops where it cannot go on
    assert (report.count("error") == 0) == (verified.level is not None)
    assert check_name is None or check_name in {check for _, check, _ in found}


def test_a_whole_track_is_checked_against_the_files_that_are_named(boards: Path) -> None:
    track_of(boards, turnset_sha256=None, collection_sha256=None, split="dev")
    folder = submit(boards, "ours", [*records(), {"turn_id": "99_9", "passages": [["a", 1.0]]}])
    report = check(folder, boards, data=Path(__file__).parents[1] / "fuzz" / "seeds" / "topiocqa" / "dpr")
    assert [problem.check for problem in report.problems if problem.severity == "error"] == ["turns-missing", "turns-extra"]
    assert report.turns == len(TURNS) + 1
