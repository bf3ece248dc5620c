from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import DataError, MissingFileError
from convbench.io import bounds
from convbench.io.jsonl import dump_line, open_text, read_json, read_jsonl, read_lines

BOM = b"\xef\xbb\xbf"


def written(tmp_path: Path, content: str | bytes, name: str = "turns.jsonl") -> Path:
    path = tmp_path / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["turns.jsonl", "turns.jsonl.gz"])
def test_reads_lines_plain_and_gzipped(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, BOM + '{"a": "é"}\r\n\n  \n{"b": 1}'.encode(), name)
    assert list(read_jsonl(path)) == [(1, {"a": "é"}), (4, {"b": 1})]


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c\x0bd\re"
    assert list(read_lines(written(tmp_path, f"{text}\nf\r\n"))) == [(1, text), (2, "f")]
    assert list(read_jsonl(written(tmp_path, json.dumps({"a": text}, ensure_ascii=False)))) == [(1, {"a": text})]


@pytest.mark.parametrize("content", [b"", BOM], ids=["nothing", "only a byte-order mark"])
def test_an_empty_file_has_no_lines(tmp_path: Path, content: bytes) -> None:
    assert list(read_lines(written(tmp_path, content))) == []


def test_a_byte_order_mark_is_dropped_at_the_start_only(tmp_path: Path) -> None:
    assert list(read_lines(written(tmp_path, BOM + BOM + b"a" + BOM + b"\n" + BOM + b"b\n"))) == [(1, "\ufeffa\ufeff"), (2, "\ufeffb")]


@given(
    st.lists(st.text("ab\r\t é\u2028\U0001f600\x00\ufeff"), max_size=30), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 9)
)
def test_blocks_of_any_size_give_the_same_lines(lines: list[str], end: str, ended: bool, size: int) -> None:
    text = end.join(lines) + (end if ended else "")
    expected = [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    if not expected[-1] and not text.endswith("\r"):
        expected.pop()
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "_BLOCK", size)
        path = written(Path(folder), text)
        assert list(read_lines(path)) == list(enumerate(expected, 1))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1', "not valid JSON: .*, column "),
        ('{"a": 1} {"b": 2}', "not valid JSON: Extra data, column 10"),
        ("[1]", "expected a JSON object, found list"),
        ('"text"', "expected a JSON object, found str"),
        ("null", "expected a JSON object, found NoneType"),
        (f'{{"a": {"1" * 5000}}}', "not valid JSON: Exceeds the limit"),
        ("[" * 100_000, "lists and objects within each other go deeper than 64 levels, the most that is read"),
        ('{"a": ' + "[" * 64 + "]" * 64 + "}", "lists and objects within each other go deeper than 64 levels"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path, f'{{"a": 0}}\n\n{line}\n{{"a": 2}}\n')
    with pytest.raises(DataError, match=rf"turns\.jsonl:3: {message}"):
        list(read_jsonl(path))


def test_a_half_written_last_line_is_named(tmp_path: Path) -> None:
    lines = read_jsonl(written(tmp_path, '{"a": 0}\n{"a": "a long te'))
    assert next(lines) == (1, {"a": 0})
    with pytest.raises(DataError, match=r"turns\.jsonl:2: not valid JSON: Unterminated string"):
        next(lines)


@pytest.mark.parametrize("bad", [b"\xff", b"caf\xe9", b"\xe9\xe9", b"\xc3"], ids=["never UTF-8", "Latin-1", "two Latin-1", "cut"])
@pytest.mark.parametrize("before", [0, 4, 5000])
@pytest.mark.parametrize("name", ["turns.jsonl", "turns.jsonl.gz"])
def test_bad_utf_8_names_its_line(tmp_path: Path, bad: bytes, before: int, name: str) -> None:
    path = written(tmp_path, BOM + b'{"a": "fine"}\n' * before + b'{"a": "' + bad + b'"}\n' + b'{"a": "fine"}\n' * 4, name)
    with pytest.raises(DataError, match=rf"{name}:{before + 1}: not UTF-8 ") as caught:
        list(read_jsonl(path))
    assert "\n" not in str(caught.value)


def test_bad_utf_8_at_the_very_end(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"turns\.jsonl:2: not UTF-8 "):
        list(read_lines(written(tmp_path, "first\nsecond é".encode()[:-1])))


def test_utf_16_is_not_utf_8(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"turns\.jsonl:1: not UTF-8 "):
        list(read_lines(written(tmp_path, '{"a": 1}\n'.encode("utf-16"))))


def test_a_truncated_gzip_names_the_first_line_that_is_not_whole(tmp_path: Path) -> None:
    whole = [f'{{"n": {n}, "text": "{n * 7919 % 1000003}"}}' for n in range(3000)]
    path = written(tmp_path, "\n".join(whole) + "\n", "turns.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    seen = []

    def read() -> None:
        for number, value in read_jsonl(path):
            seen.append((number, value["n"]))

    with pytest.raises(DataError, match=r"broken gzip file .*: download it again") as caught:
        read()
    assert 0 < len(seen) < 3000
    assert seen[-1] == (len(seen), len(seen) - 1)
    assert f"turns.jsonl.gz:{len(seen) + 1}: " in str(caught.value)


@pytest.mark.parametrize("content", [b"no gzip at all\n", gzip.compress(b"text\n" * 99)[:-8] + b"\0" * 8], ids=["plain", "bad checksum"])
def test_a_file_that_only_its_name_calls_gzip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "turns.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"turns\.jsonl\.gz:\d+: broken gzip file"):
        list(read_lines(path))


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.jsonl", tmp_path / "nothing.jsonl.gz", written(tmp_path, "") / "below-a-file"):
        with pytest.raises(MissingFileError, match=f"{path.name}: no such file"):
            open_text(path)
    with pytest.raises(MissingFileError, match="is a folder, expected a file"):
        open_text(tmp_path)


def test_a_document_may_span_lines(tmp_path: Path) -> None:
    assert read_json(written(tmp_path, '{"a": [1,\n 2],\n "b": "é"}\n', "f.json.gz")) == {"a": [1, 2], "b": "é"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the JSON ends early"),
        ('{"a": [1,\n 2', 2, "the JSON ends early"),
        ('{"a": 1}\n{"a": 2}\n', 2, "not valid JSON: Extra data"),
        ('{"a":\n 1,\n b: 2}', 3, "not valid JSON: Expecting property name"),
    ],
)
def test_a_bad_document_names_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(DataError, match=rf"f\.json:{line}: {message}"):
        read_json(written(tmp_path, text, "f.json"))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists))
def test_a_dumped_line_is_one_line_and_reads_back(value: object) -> None:
    line = dump_line({"value": value})
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert json.loads(line) == {"value": value}


def test_dumped_lines_keep_text_readable_and_refuse_nan() -> None:
    assert dump_line({"q": "où", "s": 0.1}) == '{"q":"où","s":0.1}\n'
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not JSON compliant"):
            dump_line({"score": value})
