from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from convbench.config import MAX_YAML, MAX_YAML_DEPTH, Config, Origin, build_config, load_config, parse_document, read_yaml
from convbench.errors import ConvbenchError, DataError, MissingFileError, UsageError


class Inner(Config):
    depth: int = Field(default=1, ge=1)


class Server(Config):
    type: Literal["server"]
    address: str


class Local(Config):
    type: Literal["local"]
    folder: str
    tokens: int = 3


class Written(Config):
    """Its tag is also the name of its field."""

    type: Literal["model"]
    model: Annotated[Server | Local, Field(discriminator="type")]


class Copied(Config):
    type: Literal["copied"]
    words: int = 3


Writer = Annotated[Written | Copied, Field(discriminator="type")]


@dataclass
class Weights:
    __pydantic_config__ = ConfigDict(extra="forbid")

    first: float = 1.0


class Whole(Config):
    writer: Literal["none", "human"] | Writer = "none"
    several: list[Writer] = []  # noqa: RUF012
    by_name: dict[str, Inner] = {}  # noqa: RUF012
    weights: Weights = Weights()


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
        ("name: a\ndepht: 3\n", ":2: depht: extra inputs are not permitted, found 3; known: inner, name, ratio$"),
        ("name: a\ninner: {dept: 3}\n", r":2: inner.dept: extra inputs are not permitted, found 3\. Did you mean 'depth'\?$"),
        ("name: a\ninner:\n  depth: 0\n", ":3: inner.depth: input should be greater than or equal to 1, found 0$"),
        ("name: a\n\n# how much\nratio: much\n", ":4: ratio: .*, found 'much'$"),
        ("# no name\nratio: 1\n", ":2: name: field required$"),
        ("nmae: a\n", r":1: nmae: extra inputs are not permitted, found 'a'\. Did you mean 'name'\? \(and 1 more\)$"),
        ("name: 1\nratio: much\n", r":1: name: .*, found 1 \(and 1 more\)$"),
        ("name: a\ninner: 3\n", ":2: inner: input should be a mapping, found 3$"),
        ("- name\n", ": expected a mapping, found list$"),
        ("", ": expected a mapping, found NoneType$"),
    ],
)
def test_wrong_content_names_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=r"example\.yaml" + message) as caught:
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
        ("name: a\nname: b\n", ":2: the key 'name' appears twice in one mapping; keep one"),
        ("a: {b: 1,\n  c: 2,\n  b: 1}\n", ":3: the key 'b' appears twice"),
        ("- 1: a\n  1: b\n", ":2: the key '1' appears twice"),
        ("time: 190:20:30\n", ":1: '190:20:30' is read as a number in base 60; put it in quotes, or write the number out"),
        ("time: 1:20.5\n", ":1: '1:20.5' is read as a number in base 60"),
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
    with pytest.raises(UsageError, match=r"^baseline x: nam: extra inputs are not permitted, found 'a'\. Did you mean 'name'\?$"):
        build_config(Example, {"name": "b", "nam": "a"}, "baseline x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("writer: humn", "1: writer: input should be 'none' or 'human', found 'humn'. Did you mean 'human'?"),
        ("writer: 3", "1: writer: input should be 'none' or 'human', found 3"),
        ("writer:\n  type: copid", "2: writer.type: input should be 'model' or 'copied', found 'copid'. Did you mean 'copied'?"),
        ("writer:\n  typ: copied", "1: writer.type: field required, expected 'model' or 'copied'; found 'typ' instead"),
        ("writer:\n  type: copied\n  wrds: 2", "3: writer.wrds: extra inputs are not permitted, found 2. Did you mean 'words'?"),
        (
            "writer:\n  type: model\n  model:\n    type: local\n    folder: x\n    tokns: 2",
            "6: writer.model.tokns: extra inputs are not permitted, found 2. Did you mean 'tokens'?",
        ),
        ("writer:\n  type: model\n  model:\n    type: local", "3: writer.model.folder: field required"),
        (
            "several:\n- type: copied\n- type: model\n  model: {type: loacl}",
            "4: several.1.model.type: input should be 'server' or 'local', found 'loacl'. Did you mean 'local'?",
        ),
        ("several:\n- type: copied\n-\n  type: copied\n  words: many", "5: several.1.words: input should be a valid integer"),
        ("by_name:\n  a: {}\n  b:\n    deep: 1", "4: by_name.b.deep: extra inputs are not permitted, found 1. Did you mean 'depth'?"),
        ("weights:\n  frist: 1", "2: weights.frist: extra inputs are not permitted, found 1. Did you mean 'first'?"),
    ],
)
def test_tags_of_unions_are_no_keys_and_the_member_that_was_meant_is_judged(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        load_config(Whole, path)
    assert one_line(caught).startswith(f"{path}:{message}")


def test_a_change_is_named_in_place_of_the_line() -> None:
    origin = Origin("mine", Path("mine.yaml"), parse_document("name: a\ninner:\n  depth: 1\n", "mine.yaml").node)
    changed = origin.changed(["inner", "depth"], "--set inner.depth")
    for values, message in (
        ({"name": "a", "inner": {"depth": 0}}, "mine with --set inner.depth: inner.depth: "),
        ({"name": 3, "inner": {"depth": 1}}, "mine.yaml:1: name: "),
        ({"inner": {"depth": 1}}, "mine.yaml:1: name: field required"),
    ):
        with pytest.raises(UsageError) as caught:
            build_config(Example, values, changed)
        assert one_line(caught).startswith(message)


def own_tag(value: object) -> str | None:
    given = value.get("type") if isinstance(value, dict) else None
    return given if given in ("model", "copied") else None


class OwnWords(Config):
    writer: Annotated[
        Annotated[Written, Tag("model")] | Annotated[Copied, Tag("copied")],
        Discriminator(own_tag, custom_error_type="writer", custom_error_message="Expected a writer"),
    ]


def test_a_union_that_refuses_in_words_of_its_own_gets_the_suggestion_too(tmp_path: Path) -> None:
    for text, message in (
        ("writer: {type: copid}", "1: writer: expected a writer, found {'type': 'copid'}. Did you mean 'copied'?"),
        ("writer:\n  type: copied\n  wrds: 1", "3: writer.wrds: extra inputs are not permitted, found 1. Did you mean 'words'?"),
        ("writer: 7", "1: writer: expected a writer, found 7"),
    ):
        path = written(tmp_path, text)
        with pytest.raises(DataError) as caught:
            load_config(OwnWords, path)
        assert one_line(caught) == f"{path}:{message}"


class Choosy(Config):
    name: str

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        raise ValueError(f"no such Name: {name!r}")


class Agreeing(Config):
    one: int
    other: int

    @model_validator(mode="after")
    def _agree(self) -> Agreeing:
        raise ValueError("One and Other differ")


def test_what_a_validator_says_keeps_its_words_and_no_whole_mapping_is_shown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":1: name: no such Name: 'Ada', found 'Ada'$"):
        load_config(Choosy, written(tmp_path, "name: Ada\n"))
    with pytest.raises(DataError, match=r":1: One and Other differ$"):
        load_config(Agreeing, written(tmp_path, "one: 1\nother: 2\n"))


@pytest.mark.parametrize(
    "text",
    [
        "name: a\napi_key: hush\n",
        "name: a\napi-key: hush\n",
        "name: a\naccessToken: hush\n",
        "name: a\nauth: hush\n",
        "name: a\nbaseurl: http://me:hush@host/v1\n",
        "name: [http://me:hush@host/v1]\n",
        "name: a\napi_kye: sk-hush-0123456789abcdef\n",
        "name: {token: hush}\n",
        "name: a\ninner: [{password: hush}]\n",
    ],
)
def test_what_may_be_a_secret_is_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="found what may be a secret and is not shown") as caught:
        load_config(Example, written(tmp_path, text))
    assert "hush" not in one_line(caught)
