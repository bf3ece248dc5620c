"""Files that would fill the memory are refused with the bound named, and without having been read whole."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convbench.errors import DataError
from convbench.io import bounds, jsonl
from convbench.io.bounds import FREE_EXPANSION, MAX_DEPTH, MAX_DOCUMENT, MAX_EXPANSION, MAX_LINE, MIB, read_blocks, too_deep
from convbench.io.jsonl import read_json, read_jsonl, read_lines

GB = 1_000_000_000


def zeros(path: Path, size: int) -> Path:
    """A file of so many NUL bytes that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def gzip_of(path: Path, mebibyte: bytes, times: int) -> Path:
    """A gzip file of members that hold 16 times a MiB each: one MiB stands for a GB."""
    member = gzip.compress(mebibyte * 16)
    path.write_bytes(member * (times // 16))
    return path


def nested(levels: int, *, objects: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if objects else [value]
    return value


def refusal(reader: str, path: Path) -> tuple[str, float]:
    """The message that a file is refused with, and by how many MiB reading it made the process grow."""
    code = f"""
import pathlib, resource
from convbench.errors import DataError
from convbench.io.jsonl import read_json, read_jsonl, read_lines
from convbench.io.trec_run import read_trec_run
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
try:
    for _ in {reader}(pathlib.Path({str(path)!r})):
        pass
except DataError as error:
    print(peak() - before, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    grown, _, message = done.stdout.partition(" ")
    return message, float(grown)


@pytest.mark.parametrize("reader", ["read_lines", "read_jsonl", "read_trec_run"])
def test_a_line_of_a_gigabyte_is_refused_unread(tmp_path: Path, reader: str) -> None:
    message, grown = refusal(reader, zeros(tmp_path / "run.jsonl", GB))
    assert "run.jsonl:1: longer than 64 MiB, the most that is read as one line" in message
    assert grown < 3 * MAX_LINE // MIB


def test_a_document_of_a_gigabyte_is_refused_unread(tmp_path: Path) -> None:
    message, grown = refusal("read_json", zeros(tmp_path / "f.json", GB))
    assert "f.json: larger than 512 MiB, the most that is read as one document" in message
    assert grown < 16


@pytest.mark.parametrize("reader", ["read_lines", "read_jsonl", "read_json"])
def test_a_gzip_bomb_is_refused(tmp_path: Path, reader: str) -> None:
    path = gzip_of(tmp_path / "bomb.jsonl.gz", (b" " * 65535 + b"\n") * 16, 1024)
    assert path.stat().st_size < 2 * MIB
    message, grown = refusal(reader, path)
    assert "a gzip file that gives more than 64 MiB and 200 times its own size is refused" in message
    assert grown < (MAX_EXPANSION * path.stat().st_size // MIB if reader == "read_json" else 16)


def test_a_gzip_bomb_of_one_line_is_refused_as_a_line(tmp_path: Path) -> None:
    message, grown = refusal("read_lines", gzip_of(tmp_path / "bomb.gz", b"0" * MIB, 1024))
    assert "bomb.gz:1: longer than 64 MiB" in message
    assert grown < 3 * MAX_LINE // MIB


def test_what_compresses_well_is_read_as_long_as_it_is_small(tmp_path: Path) -> None:
    size = 32 * MIB
    path = gzip_of(tmp_path / "same.jsonl.gz", b'{"a":1}\n' * (MIB // 8), size // MIB)
    assert MAX_EXPANSION * path.stat().st_size < size < FREE_EXPANSION
    assert sum(len(block) for block in read_blocks(path)) == size


def test_a_bound_is_met_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 1000
    monkeypatch.setattr(jsonl, "MAX_LINE", most)
    monkeypatch.setattr(bounds, "_BLOCK", 300)
    path = tmp_path / "lines"
    path.write_bytes(b"short\n" + b"a" * most + b"\nb\n")
    assert [len(line) for _, line in read_lines(path)] == [5, most, 1]
    for end in (b"", b"\n", b"\nb\n"):
        path.write_bytes(b"short\n" + b"a" * (most + 1) + end)
        with pytest.raises(DataError, match="lines:2: longer than"):
            list(read_lines(path))


@pytest.mark.parametrize("name", ["f.json", "f.json.gz"])
def test_the_bound_of_documents_holds_for_what_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = tmp_path / name
    data = json.dumps(["a" * 200] * 10).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    monkeypatch.setattr(jsonl, "MAX_DOCUMENT", len(data) - 1)
    with pytest.raises(DataError, match="larger than"):
        read_json(path)
    monkeypatch.setattr(jsonl, "MAX_DOCUMENT", len(data))
    assert len(read_json(path)) == 10


@pytest.mark.parametrize("objects", [False, True])
def test_nesting(tmp_path: Path, objects: bool) -> None:
    path = tmp_path / "f.json"
    path.write_text(json.dumps(nested(MAX_DEPTH, objects=objects)))
    assert read_json(path) == nested(MAX_DEPTH, objects=objects)
    path.write_text(json.dumps(nested(MAX_DEPTH + 1, objects=objects)))
    with pytest.raises(DataError, match=r"f\.json: lists and objects within each other go deeper than 64 levels, the most that is read"):
        read_json(path)


def test_brackets_in_text_are_no_nesting(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps({"a": "[{" * 1000, "b": [[]] * 1000}) + "\n")
    assert len(list(read_jsonl(path))) == 1


def test_nesting_is_found_wherever_it_is() -> None:
    assert not too_deep({"a": [1, "[", nested(MAX_DEPTH - 2)], "b": {}})
    assert too_deep({"a": [1, "[", nested(MAX_DEPTH - 1)], "b": {}})
    assert not too_deep("text")


def test_the_bounds_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    for bound in (
        f"{MAX_LINE // MIB} MiB",
        f"{MAX_DOCUMENT // MIB} MiB",
        f"{FREE_EXPANSION // MIB} MiB",
        f"{MAX_EXPANSION} times",
        f"{MAX_DEPTH} levels",
    ):
        assert bound in text
