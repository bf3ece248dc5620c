"""Parquet tables: what they hold comes back, and what would fill the memory is refused unread."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convbench.errors import DataError, MissingFileError
from convbench.exchange import parquet_bounds
from convbench.exchange.parquet import read_rows, write_rows
from convbench.io.bounds import MIB

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def column(values: list[Any], kind: Any) -> Any:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, type=kind.storage_type))
    return pa.array(values, type=kind)


@pytest.mark.parametrize("settings", [{}, {"use_dictionary": False}, {"row_group_size": 2}, {"compression": "zstd", "version": "1.0"}])
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.string(), ["é", None, "", "b" * 9, "é"]),
        (pa.large_string(), ["a", "b", None, "a", "a"]),
        (pa.string_view(), ["a", "b", None, "a", "a"]),
        (pa.binary(), [b"a", b"\xff", None, b"", b"a"]),
        (pa.int64(), [1, None, 3, -4, 5]),
        (pa.float64(), [0.1, None, 3.0, -4.0, 5.0]),
        (pa.bool_(), [True, None, False, True, True]),
        (pa.list_(pa.string()), [["a", None, "a"], None, [], ["b"], ["a"]]),
        (pa.large_list(pa.large_string()), [["a", None, "a"], None, [], ["b"], ["a"]]),
        (pa.list_(pa.list_(pa.string())), [[["a"], [], None], None, [], [["b", "a"]], [["a"]]]),
        (
            pa.list_(pa.struct({"role": pa.string(), "n": pa.int32()})),
            [[{"role": "user", "n": 1}], None, [], [None], [{"role": None, "n": 2}]],
        ),
        (pa.struct({"a": pa.string(), "b": pa.list_(pa.string())}), [{"a": "x", "b": ["y"]}, None, {"a": None, "b": None}] + [None] * 2),
        (pa.map_(pa.string(), pa.string()), [[("k", "v"), ("l", None)], None, [], [("k", "v")], [("m", "w")]]),
        (pa.dictionary(pa.int32(), pa.string()), ["a", None, "b", "a", "a"]),
    ],
    ids=str,
)
def test_every_kind_of_column_comes_back(tmp_path: Path, kind: Any, values: list[Any], settings: dict[str, Any]) -> None:
    pq.write_table(pa.table({"n": list(range(5)), "v": column(values, kind)}), tmp_path / "t.parquet", **settings)
    rows = list(read_rows(tmp_path / "t.parquet"))
    assert [row.values for row in rows] == [{"n": n, "v": value} for n, value in enumerate(values)]
    assert [row.where for row in rows] == [f"row {n}" for n in range(1, 6)]


def test_long_tables_come_back_in_order(tmp_path: Path) -> None:
    texts = [(f"p{n}", f"{n % 7} " * (n % 50)) for n in range(12_345)]
    write_rows(tmp_path / "t.parquet", {"_id": pa.string(), "text": pa.string()}, texts)
    assert [(row.values["_id"], row.values["text"]) for row in read_rows(tmp_path / "t.parquet")] == texts


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_delta_encodings_come_back(tmp_path: Path, encoding: str) -> None:
    texts = [f"passage {n // 3}" for n in range(3000)]
    lists = [[text, text] for text in texts]
    columns = {"t": encoding, "l.list.element": encoding}
    pq.write_table(pa.table({"t": texts, "l": lists}), tmp_path / "t.parquet", use_dictionary=False, column_encoding=columns)
    assert [(row.values["t"], row.values["l"]) for row in read_rows(tmp_path / "t.parquet")] == list(zip(texts, lists, strict=True))


def test_rows_are_read_in_batches_that_their_longest_text_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_bounds, "MAX_LINE", 1000)
    write_rows(tmp_path / "t.parquet", {"t": pa.string()}, [("a" * 200,), ("b" * 400,), ("a" * 200,)] * 5)
    with pq.ParquetFile(tmp_path / "t.parquet") as table:
        assert parquet_bounds.rows_at_once(tmp_path / "t.parquet", table, 0) == 2
    assert [len(row.values["t"]) for row in read_rows(tmp_path / "t.parquet")] == [200, 400, 200] * 5
    write_rows(tmp_path / "u.parquet", {"t": pa.string()}, [("a",), ("b" * 1001,)])
    with pytest.raises(DataError, match=r"u\.parquet \[column 't'\]: row group 1 holds a value longer than"):
        list(read_rows(tmp_path / "u.parquet"))
    pq.write_table(pa.table({"t": ["a", "b" * 500], "u": ["c" * 500, "d" * 501]}), tmp_path / "v.parquet", use_dictionary=False)
    with pytest.raises(DataError, match=r"v\.parquet \[row 2\]: longer than"):
        list(read_rows(tmp_path / "v.parquet"))


def numbered(value: str, rows: int, before: int = 0) -> Any:
    """A value that is stored once, however often it is given, behind nulls."""
    return pa.DictionaryArray.from_arrays(pa.array([None] * before + [0] * rows, pa.int32()), pa.array([value]))


def one_value(length: int, rows: int) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table({"q_id": numbered("a" * length, rows, 3)}), path, compression="zstd")


def one_list(length: int, items: int, before: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        lists = pa.ListArray.from_arrays(pa.array([0] * (before + 1) + [items], pa.int32()), numbered("a" * length, items))
        pq.write_table(pa.table({"_id": ["a"] * (before + 1), "text": lists}), path, compression="zstd")

    return write


def shared_beginnings(length: int, rows: int) -> Callable[[Path], None]:
    """Pages in which each value says only how much of the one before it has."""

    def write(path: Path) -> None:
        with pq.ParquetWriter(
            path, pa.schema({"q_id": pa.string()}), compression="zstd", use_dictionary=False, column_encoding={"q_id": "DELTA_BYTE_ARRAY"}
        ) as writer:
            writer.write_table(pa.table({"q_id": ["a" * length] * rows}))

    return write


BOMBS = {
    "one value": (one_value(100 * MIB, 1000), "gives more than 64 MiB and 200 times its own size"),
    "one value below the bound": (one_value(40 * MIB, 1000), "gives more than 64 MiB and 200 times its own size"),
    "one list": (one_list(2 * MIB, 1000, 0), "[row 1]: longer than 64 MiB, the most that is read as one row"),
    "one list behind empty ones": (one_list(2 * MIB, 1000, 3000), "[row 3001]: longer than 64 MiB"),
    "beginnings": (shared_beginnings(4 * MIB, 60), "gives more than 64 MiB and 200 times its own size"),
    "a number": (
        lambda path: pq.write_table(pa.table({"n": np.ones(70_000_000, dtype=np.int8)}), path, compression="zstd"),
        "gives more than 64 MiB and 200 times its own size",
    ),
    "a fixed length": (
        lambda path: pq.write_table(pa.table({"t": pa.array([b"a" * 2000], pa.binary(2000))}), path),
        "[column 't']: values of a fixed length of more than 1024 bytes",
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_does_not_fill_the_memory(tmp_path: Path, bomb: str) -> None:
    write, message = BOMBS[bomb]
    write(tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < MIB
    code = f"""
import pathlib, resource
import pyarrow.compute, pyarrow.parquet
from convbench.errors import DataError
from convbench.exchange.parquet import read_rows
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
try:
    for _ in read_rows(pathlib.Path({str(tmp_path / "bomb.parquet")!r})):
        pass
except DataError as error:
    print(peak() - before, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    grown, _, found = done.stdout.partition(" ")
    assert message in found
    assert found.count("\n") == 1
    assert int(grown) < 400


def test_the_sizes_of_rows_are_those_of_their_texts() -> None:
    texts = ["a" * 3, None, "é", ""]
    lists = [["ab", None], None, [], ["c"]]
    maps = pa.array([[("ab", "c")], None, [], [("a", None), ("b", "cd")]], pa.map_(pa.string(), pa.string()))
    batch = pa.record_batch({"t": texts, "d": pa.array(texts).dictionary_encode(), "l": lists, "s": [{"x": text} for text in texts]})
    expected = [3 * 3 + 2 + 16, 0, 3 * 2, 1 + 8]
    assert parquet_bounds.row_sizes(Path("t"), batch, 0).tolist() == expected
    assert parquet_bounds.row_sizes(Path("t"), batch.slice(2), 2).tolist() == expected[2:]
    batch = pa.record_batch({"m": maps})
    assert parquet_bounds.row_sizes(Path("t"), batch, 0).tolist() == [3 + 8, 0, 0, 4 + 16]
    assert parquet_bounds.row_sizes(Path("t"), batch.slice(3), 3).tolist() == [4 + 16]


def test_what_compresses_well_is_read_as_long_as_it_is_small(tmp_path: Path) -> None:
    one_value(MIB, 60)(tmp_path / "t.parquet")
    assert sum(len(row.values["q_id"] or "") for row in read_rows(tmp_path / "t.parquet")) == 60 * MIB


def test_a_missing_file_and_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"t\.parquet: no such file"):
        list(read_rows(tmp_path / "t.parquet"))
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(DataError, match=r"t\.parquet: not a readable Parquet file"):
        list(read_rows(tmp_path / "t.parquet"))


def test_a_footer_that_ends_the_process_is_an_error_of_ours(tmp_path: Path) -> None:
    """Many single bytes of a footer, changed one at a time; some of them make Apache Arrow call abort()."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"q_id": ["a", "a", "b"], "score": [1.0, 0.5, 2.0]}), path, write_page_index=True)
    whole = path.read_bytes()
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    messages = []
    for place in range(start, len(whole) - 8, max(1, (len(whole) - 8 - start) // 40)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        try:
            list(read_rows(path))
        except DataError as error:
            messages.append(str(error))
    assert messages
    assert all(message.isprintable() for message in messages)
