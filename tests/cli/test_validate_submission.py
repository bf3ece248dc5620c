from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from command_line import Finished, convbench, succeed

from convbench.systems.catalog import shipped

TRACK, BROKEN, USAGE, DATA = "orquac-mini", 4, 2, 3


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of leaderboards with one submission, under a name that none of the shipped ones has."""
    work = tmp_path_factory.mktemp("work")
    (work / "boards" / TRACK).mkdir(parents=True)
    shutil.copy(shipped("leaderboards") / TRACK / "track.yaml", work / "boards" / TRACK)
    succeed("run", "oracle", "-d", "orquac", "--metrics", "retrieval,rouge,token-f1", "--offline", "--out", work / "run")
    succeed("leaderboard", "submit", work / "run", "--track", TRACK, "--root", work / "boards", "--id", "mine")
    change(work / "boards" / TRACK / "submissions" / "mine", name="An oracle of my own")
    return work / "boards"


@pytest.fixture
def sent(packed: Path, tmp_path: Path) -> Path:
    """The submission under another name, in no folder of leaderboards."""
    return Path(shutil.copytree(packed / TRACK / "submissions" / "mine", tmp_path / "Sent"))


def change(folder: Path, **values: object) -> None:
    path = folder / "manifest.yaml"
    given = {**yaml.safe_load(path.read_text(encoding="utf-8")), **values}
    path.write_text(yaml.safe_dump(given), encoding="utf-8")


def verdict(finished: Finished) -> str:
    """The last line on stderr; metrics may say there how they compute."""
    return finished.err.splitlines()[-1]


def errors(finished: Finished) -> list[str]:
    assert finished.code == BROKEN, finished.err
    return [line.removeprefix("error").strip() for line in finished.out.splitlines() if line.startswith("error ")]


def test_a_submission_in_order(packed: Path, sent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, said in ((packed / TRACK / "submissions" / "mine", ()), (sent, ()), (sent, ("--kind", "submission"))):
        finished = succeed("validate", folder, *said)
        assert finished.out == "info     gold-shown: an oracle: it is shown gold passages, and says a reference response\n"
        assert verdict(finished) == f"{folder}: submission to {TRACK}, 56 turns: in order"
    monkeypatch.chdir(sent)
    assert verdict(succeed("validate", ".")) == f".: submission to {TRACK}, 56 turns: in order"


def test_problems_as_json(sent: Path) -> None:
    change(sent, collection_sha256="0" * 64)
    finished = convbench("validate", sent, "--json")
    assert finished.code == BROKEN
    wrong, note = finished.json
    assert (wrong["check"], wrong["severity"], wrong["count"]) == ("other-collection", "error", 1)
    assert wrong["message"].startswith("manifest.yaml: collection_sha256 is 0000")
    assert (note["check"], note["severity"]) == ("gold-shown", "info")
    assert verdict(finished) == f"{sent}: submission to {TRACK}, 56 turns: 1 error"


def test_the_track_is_looked_up_where_root_says(sent: Path, packed: Path) -> None:
    change(sent, track="orquac-mni")
    (said,) = errors(convbench("validate", sent))
    assert said.startswith("other-track: manifest.yaml: track: unknown track 'orquac-mni'. Did you mean 'orquac-mini'? Known: faithdial, ")
    (said,) = errors(convbench("validate", sent, "--root", packed))
    assert said.endswith(f"Known: {TRACK}")
    refused = convbench("validate", sent, "--root", packed / TRACK)
    assert (refused.code, "no tracks here" in refused.error) == (DATA, True)
    assert convbench("validate", sent, "--root", packed / "no").error.endswith("expected a folder of leaderboards (--root)")


def test_a_track_whose_data_are_not_at_hand(sent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVBENCH_REAL_DATA", raising=False)
    change(sent, track="inscit-sample")
    finished = convbench("validate", sent)
    assert "warning  unchecked-dataset: 1 submission not checked against the data of its track" in finished.out
    assert "other-dataset" in finished.out
    assert f"{tmp_path}" in convbench("validate", sent, "--real-data", tmp_path).out
    change(sent, track="orquac")
    assert convbench("validate", sent, "--data", tmp_path).code == DATA
    change(sent, track=TRACK)
    assert convbench("validate", sent, "--data", tmp_path).error.endswith("not on whole files: leave --data out")


@pytest.mark.parametrize("option", [("-d", "orquac"), ("--split", "dev"), ("--limit", "3"), ("--option", "answers=all")])
def test_what_would_check_only_a_part_is_refused(sent: Path, option: tuple[str, str]) -> None:
    refused = convbench("validate", sent, *option)
    assert refused.code == USAGE
    assert refused.error.startswith(f"{sent}: a submission is checked against the whole of its track: leave --")


def test_a_folder_that_is_said_to_be_something_else(sent: Path) -> None:
    assert convbench("validate", sent, "--kind", "run").out == (
        f"error    unreadable: {sent}: no run here (no run.json); expected a folder that `convbench run` made\n"
    )
    assert convbench("validate", sent, "--kind", "dataset", "-d", "orquac").err.startswith(f"{sent}: dataset orquac")
    assert convbench("validate", sent / "run.jsonl.gz").err == f"{sent / 'run.jsonl.gz'}: joint run, 56 turns: in order\n"


@pytest.mark.parametrize("names", [("manifest.yaml", "retrieval.trec", "responses.jsonl"), ("manifest.json", "turns.jsonl")])
def test_a_run_that_is_not_packed(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text("{}", encoding="utf-8")
    (said,) = errors(convbench("validate", tmp_path))
    assert said.startswith("files: run.jsonl.gz is missing, and ")
    assert "`convbench leaderboard submit`" in said
    assert "`convbench leaderboard import`" in said


def test_what_is_no_folder_of_a_submission(tmp_path: Path) -> None:
    assert errors(convbench("validate", tmp_path / "no", "--kind", "submission")) == [f"unreadable: {tmp_path / 'no'}: no such folder"]
    assert errors(convbench("validate", tmp_path, "--kind", "submission")) == [
        "files: manifest.yaml is missing",
        "files: run.jsonl.gz is missing",
    ]
    refused = convbench("validate", "--kind", "submission")
    assert (refused.code, refused.error) == (USAGE, "nothing to check: name a file, or a dataset with -d")
    (tmp_path / "manifest.yaml").symlink_to(tmp_path / "gone")
    first, second = errors(convbench("validate", tmp_path))
    assert first.startswith("link: manifest.yaml is a symbolic link")
    assert second == "files: run.jsonl.gz is missing"
    (tmp_path / "run.json").touch()
    assert verdict(convbench("validate", tmp_path)) == f"{tmp_path}: run, 0 turns: 1 error"
