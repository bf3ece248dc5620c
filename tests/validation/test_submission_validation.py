"""Submissions: what a folder must hold, and what it must not."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from convbench.datasets.collection import prepare_store
from convbench.datasets.loading import Dataset, DatasetRequest, open_dataset
from convbench.errors import UsageError
from convbench.io.cache import cache_root
from convbench.validation.problems import Problem
from convbench.validation.target import Datasets
from convbench.validation.validate import validate

MANIFEST = {"name": "ours", "dataset": "topiocqa", "split": "mini", "kind": "two-stage"}


@pytest.fixture(scope="module")
def mini() -> Dataset:
    return open_dataset(DatasetRequest("topiocqa"))


@pytest.fixture
def submission(tmp_path: Path, mini: Dataset) -> Path:
    """A submission in order: the gold passage and a made-up response for every turn."""
    records = [{"turn_id": turn.id, "passages": [[next(iter(turn.gold)), 2.0]], "response": f"on {turn.id}"} for turn in mini.turns]
    return folder_of(tmp_path / "ours", MANIFEST, "".join(f"{json.dumps(record)}\n" for record in records))


def folder_of(folder: Path, manifest: object, turns: str) -> Path:
    folder.mkdir()
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    (folder / "turns.jsonl").write_text(turns, encoding="utf-8")
    return folder


def problems(folder: Path, dataset: str | None = None) -> tuple[Problem, ...]:
    report = validate(folder, None, Datasets(dataset, DatasetRequest, cache_root()))
    assert report.kind == "submission"
    return report.problems


def found(folder: Path, dataset: str | None = None) -> dict[str, tuple[str, ...]]:
    return {problem.check: problem.examples for problem in problems(folder, dataset)}


def change(folder: Path, **keys: object) -> None:
    manifest = {key: value for key, value in {**MANIFEST, **keys}.items() if value is not ...}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")


def test_a_submission_in_order(submission: Path) -> None:
    assert found(submission) == found(submission, "topiocqa") == {}
    (submission / "README.md").write_text("ours", encoding="utf-8")
    (submission / "turns.jsonl.gz").write_bytes(gzip.compress((submission / "turns.jsonl").read_bytes()))
    (submission / "turns.jsonl").unlink()
    manifest = (submission / "manifest.yaml").read_text(encoding="utf-8")
    (submission / "manifest.json").write_text(json.dumps(yaml.safe_load(manifest)), encoding="utf-8")
    (submission / "manifest.yaml").unlink()
    assert found(submission) == {}


def test_of_two_files(submission: Path, mini: Dataset) -> None:
    (submission / "turns.jsonl").unlink()
    rankings = [f"{turn.id} Q0 {next(iter(turn.gold))} 1 2.0 x\n" for turn in mini.turns]
    (submission / "retrieval.trec").write_text("".join(rankings[1:]), encoding="utf-8")
    responses = [json.dumps({"turn_id": turn.id, "response": "yes"}) + "\n" for turn in mini.turns]
    (submission / "responses.jsonl").write_text("".join(responses[:-2]), encoding="utf-8")
    assert [problem.message.partition(" ")[0] for problem in problems(submission)] == ["retrieval.trec:", "responses.jsonl:"]
    assert [problem.count for problem in problems(submission)] == [1, 2]


def test_digests(submission: Path, mini: Dataset) -> None:
    collection = prepare_store(mini, mini.adapter.collection(), cache_root()).sha256
    change(submission, turnset_sha256=mini.all_turns().sha256, collection_sha256=collection)
    assert found(submission) == {}
    change(submission, turnset_sha256="0" * 64, collection_sha256="1" * 64)
    assert found(submission)["digests"] == (
        f"turnset_sha256: expected {mini.all_turns().sha256}",
        f"collection_sha256: expected {collection}",
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"name": ...}, "name: field required"),
        ({"name": "../ours"}, "name: string should match pattern"),
        ({"name": "a\x1bb"}, "name: string should match pattern"),
        ({"kind": 3}, "kind: input should be a valid string"),
        ({"turnset_sha256": "abc"}, "turnset_sha256: string should match pattern"),
    ],
)
def test_keys_of_the_manifest(submission: Path, keys: dict[str, object], said: str) -> None:
    change(submission, **keys)
    assert set(found(submission)) == {"manifest"}
    assert found(submission)["manifest"][0].startswith(said)


def test_a_key_that_is_not_known(submission: Path) -> None:
    change(submission, descripton="a system")
    (problem,) = problems(submission)
    assert (problem.check, problem.severity) == ("manifest-keys", "warning")
    assert problem.examples == ("descripton: did you mean 'description'?",)


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
def test_a_manifest_that_cannot_be_read(submission: Path, text: str, said: str) -> None:
    (submission / "manifest.yaml").write_text(text, encoding="utf-8")
    (problem,) = problems(submission)
    assert problem.check == "unreadable"
    assert said in problem.message


def link(folder: Path) -> None:
    (folder / "responses.jsonl").symlink_to("/etc/passwd")


def linked_run(folder: Path) -> None:
    (folder / "turns.jsonl").rename(folder.parent / "elsewhere.jsonl")
    (folder / "turns.jsonl").symlink_to(folder.parent / "elsewhere.jsonl")


def program(folder: Path) -> None:
    (folder / "README.md").touch(mode=0o755)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (link, ("responses.jsonl is a link",)),
        (linked_run, ("turns.jsonl is a link", "turns.jsonl, retrieval.trec or responses.jsonl (or .gz) is missing")),
        (program, ("README.md is a program, or may run one when it is read",)),
        (lambda folder: (folder / "model.PKL").touch(), ("model.PKL is a program, or may run one when it is read",)),
        (lambda folder: os.mkfifo(folder / "pipe"), ("pipe is no plain file",)),
        (lambda folder: (folder / "turns.jsonl").unlink(), ("turns.jsonl, retrieval.trec or responses.jsonl (or .gz) is missing",)),
        (
            lambda folder: (folder / "turns.jsonl.gz").write_bytes(gzip.compress(b"")),
            ("both turns.jsonl and turns.jsonl.gz: leave one out",),
        ),
        (
            lambda folder: (folder / "responses.jsonl").write_text("", encoding="utf-8"),
            ("turns.jsonl holds rankings and responses already: leave the other files out",),
        ),
    ],
)
def test_files_that_are_not_allowed(submission: Path, spoil: Callable[[Path], object], said: tuple[str, ...]) -> None:
    spoil(submission)
    assert found(submission) == {"submission-files": said}


def test_files_that_are_not_needed(submission: Path) -> None:
    (submission / "scores.csv").touch()
    (submission / "more").mkdir()
    assert found(submission) == {"other-files": ("more/", "scores.csv")}


def test_copied_references(submission: Path, mini: Dataset) -> None:
    records = [{"turn_id": turn.id, "response": turn.references[0].text} for turn in mini.turns]
    (submission / "turns.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    (problem,) = problems(submission)
    assert (problem.check, problem.severity) == ("copied-references", "warning")
    assert "(100%)" in problem.message


def test_another_dataset_than_the_one_that_was_named(submission: Path) -> None:
    change(submission, dataset="qrecc")
    assert found(submission, "topiocqa") == {"header": ("dataset 'qrecc'",)}


def test_a_dataset_that_is_not_at_hand(submission: Path) -> None:
    change(submission, split="dev")
    assert set(found(submission)) == {"unchecked-dataset"}
    with pytest.raises(UsageError, match="needs the official files"):
        found(submission, "topiocqa")
    change(submission, dataset="../../etc")
    assert set(found(submission)) == {"manifest"}
