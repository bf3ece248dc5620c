from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from convbench.errors import DataError
from convbench.io.records import Record, read_lines_or_list, read_list

PATH = Path("dev.json")


def record(**values: Any) -> Record:
    return Record(PATH, values, where="record 3")


@pytest.mark.parametrize(("kind", "value"), [(str, ""), (int, 0), (bool, False), (list, []), (dict, {})])
def test_a_field_of_the_right_kind(kind: type, value: object) -> None:
    assert record(f=value).get("f", kind) == value
    assert record(f=value).optional("f", kind, None) == value


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (str, 1, "expected a string, found int 1"),
        (str, None, "expected a string, found null"),
        (int, "1", "expected an integer, found str '1'"),
        (int, True, "expected an integer, found bool True"),
        (int, 1.0, "expected an integer, found float 1.0"),
        (bool, 0, "expected true or false, found int 0"),
        (list, {"a": 1}, r"expected a list, found dict \{'a': 1\}"),
        (dict, [1], r"expected an object, found list \[1\]"),
    ],
)
def test_a_field_of_another_kind_names_place_and_field(kind: type, value: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"^dev\.json \[record 3\]: field 'Answer': {message}$"):
        record(Answer=value).get("Answer", kind)


def test_keys_do_not_break_the_line_of_a_message() -> None:
    message = r"^dev\.json \[a\\nb\\u2028\]: field 'Answer' is missing; expected a string, not \\ud83d$"
    with pytest.raises(DataError, match=message):
        raise Record(PATH, {}, where="a\nb\u2028").error("field 'Answer' is missing; expected a string, not \ud83d")


def test_a_missing_field() -> None:
    with pytest.raises(DataError, match=r"^dev\.json:9: field 'Answer' is missing; expected a string$"):
        Record(PATH, {"answer": "x"}, line=9).get("Answer", str)


def test_optional_takes_the_default_for_absent_and_null_but_not_for_wrong() -> None:
    assert record().optional("f", str, "default") == "default"
    assert record(f=None).optional("f", str, "default") == "default"
    with pytest.raises(DataError, match="field 'f': expected a string, found int 3"):
        record(f=3).optional("f", str, "default")


@pytest.mark.parametrize("half", [chr(0xD83D), chr(0xDCA1)])
def test_half_a_surrogate_pair_is_no_text(half: str) -> None:
    assert record(f="\U0001f4a1").get("f", str) == "💡"
    message = r"^dev\.json \[record 3\]: field '{}' holds '\\u[0-9a-f]{{4}}', half of a surrogate pair; repair the file$"
    with pytest.raises(DataError, match=message.format("f")):
        record(f=f"a {half} b").get("f", str)
    with pytest.raises(DataError, match=message.format(r"f\[1\]")):
        record(f=["a", half]).strings("f")


def test_a_long_value_is_cut_short() -> None:
    with pytest.raises(DataError) as caught:
        record(f="long " * 99).get("f", int)
    assert len(str(caught.value)) < 150


def test_lists_of_strings_name_the_item() -> None:
    assert record(f=["a", ""]).strings("f") == ["a", ""]
    with pytest.raises(DataError, match=r"field 'f'\[1\]: expected a string, found null"):
        record(f=["a", None]).strings("f")


def test_children_know_where_they_are() -> None:
    parent = record(turns=[{"answers": [{"text": 1}]}], meta={"n": "x"})
    child = parent.records("turns")[0].records("answers")[0]
    with pytest.raises(
        DataError, match=r"^dev\.json \[record 3\.turns\[0\]\.answers\[0\]\]: field 'text': expected a string, found int 1$"
    ):
        child.get("text", str)
    with pytest.raises(DataError, match=r"^dev\.json \[record 3\.meta\]: field 'n': expected an integer"):
        parent.record("meta").get("n", int)
    with pytest.raises(DataError, match=r"^dev\.json:2 \[turns\[1\]\]: expected an object, found str 'x'$"):
        Record(PATH, {"turns": [{}, "x"]}, line=2).records("turns")


def test_a_record_must_be_an_object() -> None:
    with pytest.raises(DataError, match=r"^dev\.json:4: expected an object, found list \[\]$"):
        Record(PATH, [], line=4)


def test_a_json_list_counts_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text('[{"id": "a"}, {"id": 2}]')
    first, second = read_list(path)
    assert first.get("id", str) == "a"
    with pytest.raises(DataError, match=r"dev\.json \[record 1\]: field 'id'"):
        second.get("id", str)


@pytest.mark.parametrize(("text", "found"), [('{"a": 1}', "dict"), ("null", "null"), ('"x"', "str 'x'")])
def test_a_document_that_is_no_list(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "dev.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"dev\.json: expected a JSON list, found {found}"):
        list(read_list(path))


@pytest.mark.parametrize("name", ["dev.jsonl", "dev.txt", "dev.jsonl.gz", "dev.txt.gz", "dev.json", "dev.json.gz"])
def test_the_name_tells_lines_from_a_list(tmp_path: Path, name: str) -> None:
    values = [{"id": "a"}, {"id": "b"}]
    lines = name.removesuffix(".gz").endswith(("l", "txt"))
    data = ("\n".join(map(json.dumps, values)) if lines else json.dumps(values)).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert [item.values for item in read_lines_or_list(path)] == values
    assert [item.line for item in read_lines_or_list(path)] == ([1, 2] if lines else [None, None])
