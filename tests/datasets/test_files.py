from __future__ import annotations

from pathlib import Path

import pytest

from convbench.datasets.files import find_files, find_one, find_optional
from convbench.errors import MissingFileError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "dev.json",
        "data/train.json.gz",
        "data/deep/er/corpus-1.tsv",
        "data/corpus-2.tsv",
        "data/dev.json.bak",
        "data/mydev.json",
        "data/DEV.JSON",
        ".cache/dev.json",
        "data/.hidden.json",
        "dev.json.d/notes.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["dev.json"], ["dev.json"]),
        (["train.json"], ["data/train.json.gz"]),
        (["train.json.gz"], ["data/train.json.gz"]),
        (["corpus-*.tsv"], ["data/corpus-2.tsv", "data/deep/er/corpus-1.tsv"]),
        (["er/corpus-1.tsv"], ["data/deep/er/corpus-1.tsv"]),
        (["data/corpus-*.tsv"], ["data/corpus-2.tsv"]),
        (["ata/corpus-2.tsv"], []),
        (["train.json", "dev.json"], ["data/train.json.gz", "dev.json"]),
        (["dev*.json"], ["dev.json"]),
        (["data/*.tsv"], ["data/corpus-2.tsv", "data/deep/er/corpus-1.tsv"]),
        (["*.hidden.json"], []),
        (["nothing.json"], []),
    ],
)
def test_names_match_at_any_depth(tree: Path, patterns: list[str], expected: list[str]) -> None:
    assert [path.relative_to(tree).as_posix() for path in find_files(tree, patterns)] == expected


def test_a_hidden_folder_above_the_root_does_not_hide_it(tmp_path: Path) -> None:
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "dev.json").write_text("")
    assert find_files(tmp_path / ".data", ["dev.json"]) == [tmp_path / ".data" / "dev.json"]


def test_folders_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "dev.json").mkdir()
    assert find_files(tmp_path, ["dev.json"]) == []


def test_a_file_stands_for_itself(tree: Path) -> None:
    assert find_files(tree / "data" / "mydev.json", ["dev.json"]) == [tree / "data" / "mydev.json"]
    assert find_one(tree / "data" / "mydev.json", ["dev.json"], "dev turns") == tree / "data" / "mydev.json"


def test_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="nowhere: no such folder"):
        find_files(tmp_path / "nowhere", ["dev.json"])


def test_optional_is_none_or_the_one(tree: Path) -> None:
    assert find_optional(tree, ["nothing.json"], "turns", "--data") is None
    assert find_optional(tree, ["dev.json"], "turns", "--data") == tree / "dev.json"


def test_several_candidates_are_listed(tree: Path) -> None:
    message = r": 2 candidates for the corpus: data/corpus-2\.tsv, data/deep/er/corpus-1\.tsv; point --corpus at the folder or file"
    with pytest.raises(MissingFileError, match=message):
        find_one(tree, ["corpus-*.tsv"], "the corpus", "--corpus")


def test_none_says_what_was_looked_for(tree: Path) -> None:
    with pytest.raises(
        MissingFileError, match=r": no file for dev turns: expected a\.json or b\.json \(or \.gz\) at any depth; set --data$"
    ):
        find_one(tree, ["a.json", "b.json"], "dev turns")
