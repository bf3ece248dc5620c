from __future__ import annotations

import inspect
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from convbench.config import MAX_YAML, MAX_YAML_DEPTH, Config, build_config, load_config, read_yaml
from convbench.errors import ConvbenchError, DataError, MissingFileError, UsageError


class Inner(Config):
    depth: int = Field(default=1, ge=1)


class Example(Config):
    name: str
    inner: Inner = Inner()
    ratio: float | None = None


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "example.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def one_line(caught: pytest.ExceptionInfo[ConvbenchError]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_reads_a_model(tmp_path: Path) -> None:
    path = written(tmp_path, "name: é\ninner: {depth: 3}\n")
    assert load_config(Example, path) == Example(name="é", inner=Inner(depth=3))


def test_configurations_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Example(name="a").name = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\ndepht: 3\n", "depht: extra inputs are not permitted, found 3"),
        ("name: a\ninner: {dept: 3}\n", "inner.dept: extra inputs are not permitted, found 3"),
        ("name: a\ninner: {depth: 0}\n", "inner.depth: input should be greater than or equal to 1, found 0"),
        ("name: a\nratio: much\n", "ratio: .*, found 'much'"),
        ("ratio: 1\n", "name: field required"),
        ("name: 1\nratio: much\n", r"name: .*, found 1 \(and 1 more\)"),
        ("- name\n", "expected a mapping, found list"),
        ("", "expected a mapping, found NoneType"),
    ],
)
def test_wrong_content_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=r"example\.yaml: " + message) as caught:
        load_config(Example, written(tmp_path, text))
    one_line(caught)


def test_a_long_value_is_cut_short(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_config(Example, written(tmp_path, f"name: a\nratio: {'much ' * 99}\n"))
    assert len(one_line(caught).partition("found ")[2]) == 80


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"example\.yaml:3: not valid YAML: ") as caught:
        read_yaml(written(tmp_path, "name: a\nother: b\nratio: @half\n"))
    one_line(caught)


@pytest.mark.parametrize("content", [b"name: \xff\xfe\n", b"name: a\x00b\n"])
def test_bytes_that_are_no_yaml_text(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"example\.yaml") as caught:
        read_yaml(written(tmp_path, content))
    one_line(caught)


def test_python_objects_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "made-by-yaml"
    with pytest.raises(DataError, match="not valid YAML"):
        read_yaml(written(tmp_path, f"!!python/object/apply:os.mkdir ['{target}']\n"))
    assert not target.exists()


LAUGHS = "a: &a [x, x, x, x]\n" + "".join(f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}]\n" for old, new in pairwise("abcdefghijklmnopq"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r":1: anchors and aliases \(& and \*\) are not read; write the value out"),
        ("name: a\nother: *name\n", ":2: anchors and aliases"),
        ("name: a\nother: &b\n", ":2: anchors and aliases"),
        ("name: " + "[" * 100_000, ":1: nested deeper than 64 levels, the most that is read"),
        ("- " * 100_000, ":1: nested deeper than 64 levels"),
        ("name: " + "a" * MAX_YAML, ": larger than 256 KiB, the most that is read as YAML"),
        ("name: " + "1:" * 100_000 + "1", ":1: a number of more than 1000 digits is not read"),
        ("name: " + "1" * 5000, ":1: a number of more than 1000 digits is not read"),
        ('name: "a\\ud800"', r":1: the text holds '\\ud800', half of a surrogate pair, which is no text"),
        ("name: 2001-99-99", r": not valid YAML: a value is not what its type allows \(ValueError\('month must be in 1..12'\)\)"),
        ("name: !!int ''", ": not valid YAML: a value is not what its type allows"),
        ("name: !!bool maybe", ": not valid YAML: a value is not what its type allows"),
        ("name: !!timestamp today", ": not valid YAML: a value is not what its type allows"),
    ],
)
def test_yaml_that_would_take_memory_or_time_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"example\.yaml{message}") as caught:
        read_yaml(written(tmp_path, text))
    one_line(caught)


def test_yaml_of_the_greatest_depth_and_size(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "[" * MAX_YAML_DEPTH + "]" * MAX_YAML_DEPTH)) is not None
    with pytest.raises(DataError, match="nested deeper"):
        read_yaml(written(tmp_path, "[" * (MAX_YAML_DEPTH + 1) + "]" * (MAX_YAML_DEPTH + 1)))
    assert read_yaml(written(tmp_path, "a" * MAX_YAML)) == "a" * MAX_YAML


def test_yaml_that_python_has_no_room_for_is_refused(tmp_path: Path) -> None:
    path, limit = written(tmp_path, "[" * 60 + "]" * 60), sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        with pytest.raises(DataError, match="nested too deep to be read"):
            read_yaml(path)
    finally:
        sys.setrecursionlimit(limit)


def test_a_key_with_a_line_end_keeps_the_message_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\\nb: extra inputs are not permitted") as caught:
        load_config(Example, written(tmp_path, 'name: a\n"a\\nb": 1\n'))
    one_line(caught)


def test_the_bounds_of_yaml_are_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "limits.md").read_text(encoding="utf-8")
    for row in (f"| {MAX_YAML >> 10} KiB |", f"mappings within each other in YAML | {MAX_YAML_DEPTH} levels |"):
        assert row in text


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nothing\.yaml: no such file"):
        read_yaml(tmp_path / "nothing.yaml")
    with pytest.raises(MissingFileError, match="is a folder, expected a file"):
        read_yaml(tmp_path)
    with pytest.raises(MissingFileError, match="no such file"):
        read_yaml(written(tmp_path, "name: a\n") / "below-a-file.yaml")


def test_values_name_their_origin() -> None:
    assert build_config(Example, {"name": "a"}, "baseline x") == Example(name="a")
    with pytest.raises(UsageError, match=r"^baseline x: nam: extra inputs are not permitted, found 'a'$"):
        build_config(Example, {"name": "b", "nam": "a"}, "baseline x")
