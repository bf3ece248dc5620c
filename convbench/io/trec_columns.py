"""TREC runs as arrays: what a regular file of any size holds, read by pyarrow.

A reader that goes line by line says what is wrong with a file and where; this one only says that it is not sure, and then the other is
asked. So both take the same files and give the same. A file is regular where every line has six columns with one blank between two of them,
or one tab, where it holds no other blank or control character, where every score is a finite decimal number, and where the lines of a turn
stand together, each with another passage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from convbench.errors import ConvbenchError
from convbench.io.bounds import MAX_LINE, MIB, read_blocks
from convbench.io.text_keys import text_keys

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T", bound=np.generic)

WORTH_IT = MIB
"""Bytes from which on it is faster than going line by line: loading pyarrow takes a while."""

_COLUMNS = ("turn_id", "Q0", "passage_id", "rank", "score", "tag")
_BOM = b"\xef\xbb\xbf"
_PART = 8 * MIB
"""Bytes of lines that are read together."""
_BLOCK = MIB
"""Bytes that pyarrow takes at once; a longer line is left to the other reader."""
_PLACES = 1 << 18
"""Of a table that fits the processor's cache; a power of two."""
_CHECKED = 1 << 18
"""Bytes that are looked at together, so that they stay in the processor's cache."""
_HIGHEST_BLANK = 0x20
"""All bytes up to it are blanks and control characters."""


@dataclass(frozen=True, slots=True, eq=False)
class RunColumns:
    """A TREC run; lines of one turn stand together, in the order of the file.

    Attributes:
        turn_ids: The turns.
        firsts: The first line of each turn, and the number of lines. Shape (turns + 1,).
        text: The passage ids of all lines, one after the other, in UTF-8, as they stand in their column.
        ends: Where each line's id ends there, after a first 0. Shape (lines + 1,).
        keys: A number for each line, the same for the same passage of the same turn, and for no other line here. Shape (lines,).
        scores: Shape (lines,).
    """

    turn_ids: tuple[str, ...]
    firsts: NDArray[np.int64]
    text: bytes
    ends: NDArray[np.int64]
    keys: NDArray[np.uint64]
    scores: NDArray[np.float64]

    def passage_ids(self) -> list[str]:
        """The id of every line."""
        ends = self.ends.tolist()
        if self.text.isascii():
            text = self.text.decode("ascii")
            return [text[begin:end] for begin, end in pairwise(ends)]
        return [self.text[begin:end].decode() for begin, end in pairwise(ends)]


def is_large(path: Path) -> bool:
    """Whether a file is so large that reading it as arrays takes less time."""
    try:
        return path.stat().st_size >= WORTH_IT
    except OSError:
        return False


def read_columns(path: Path) -> RunColumns | None:
    """The run in a file (gunzipped by name); None where the file is not regular, cannot be read, or is wrong."""
    import pyarrow as pa

    tables = []
    try:
        for number, lines in enumerate(_whole_lines(path)):
            table = _table(lines if number else lines.removeprefix(_BOM))
            if table is None:
                return None
            tables.append(table)
    except ConvbenchError:
        return None
    return _columns(pa.concat_tables(tables)) if tables else None


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The bytes of a file in parts of whole lines, up to a line that is too long."""
    begun: list[bytes] = []
    length = 0
    for block in read_blocks(path):
        begun.append(block)
        length += len(block)
        if length >= _PART and (end := block.rfind(b"\n") + 1):
            begun[-1] = block[:end]
            yield b"".join(begun)
            begun, length = [block[end:]], len(block) - end
        elif length > _PART + MAX_LINE:
            break
    if length:
        yield b"".join(begun)


def _table(lines: bytes) -> pa.Table | None:
    """The columns turn_id, passage_id and score of some lines; None where they are not regular, or a score is no number."""
    import pyarrow as pa
    from pyarrow import csv

    if lines.startswith(_BOM):  # which pyarrow would pass over
        return None
    options = {
        "read_options": csv.ReadOptions(column_names=_COLUMNS, block_size=_BLOCK),
        "parse_options": csv.ParseOptions(
            delimiter="\t" if b"\t" in lines[: lines.find(b"\n") + 1] else " ",
            quote_char=False,
            escape_char=False,
            ignore_empty_lines=False,
        ),
        "convert_options": csv.ConvertOptions(
            column_types={"turn_id": pa.dictionary(pa.int32(), pa.string()), "passage_id": pa.large_string(), "score": pa.float64()},
            include_columns=["turn_id", "passage_id", "score"],
            null_values=[],
            check_utf8=False,
        ),
    }
    try:
        if not lines.isascii():
            lines.decode()
        table = csv.read_csv(pa.py_buffer(lines), **options)
    except (UnicodeDecodeError, pa.ArrowInvalid):
        return None
    return table if _has_single_blanks(lines, len(table)) else None


def _has_single_blanks(data: bytes, lines: int) -> bool:
    """Whether nothing but the six ends of columns in every line is a blank or a control character, and no column is empty."""
    if b"\r" in data:  # which ends lines for pyarrow
        return False
    codes = np.frombuffer(data, np.uint8)
    found = 0
    before = True  # as if a line ended there
    for begin in range(0, len(codes), _CHECKED):
        blank = codes[begin : begin + _CHECKED] <= _HIGHEST_BLANK
        if (before and blank[0]) or (blank[1:] & blank[:-1]).any():
            return False
        found += int(np.count_nonzero(blank))
        before = bool(blank[-1])
    return found == len(_COLUMNS) * lines - (not data.endswith(b"\n"))


def _columns(table: pa.Table) -> RunColumns | None:
    turns, passages, numbers = table.unify_dictionaries().combine_chunks().columns
    turns, passages, numbers = turns.chunk(0), passages.chunk(0), numbers.chunk(0)
    names, codes, scores = turns.dictionary.to_pylist(), _values(turns.indices, np.int32), _values(numbers, np.float64)
    firsts = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1, [len(codes)]])
    if not np.isfinite(scores).all() or len(firsts) - 1 > len(names):
        return None
    ends = _values(passages, np.int64, len(passages) + 1)
    text = passages.buffers()[2].to_pybytes()[ends[0] : ends[-1]]
    ends = ends - ends[0]
    keys = text_keys(text, ends, codes)
    if _any_twice(keys, firsts):  # a passage twice, most likely
        return None
    return RunColumns(tuple(names[code] for code in codes[firsts[:-1]].tolist()), firsts, text, ends, keys, scores)


def _values(array: pa.Array, kind: type[T], count: int | None = None) -> NDArray[T]:
    """The numbers of an array without nulls, or the offsets of texts; pyarrow's own way loads pandas first."""
    size = np.dtype(kind).itemsize
    return np.frombuffer(array.buffers()[1], kind, len(array) if count is None else count, offset=size * array.offset)


def _any_twice(keys: NDArray[np.uint64], firsts: NDArray[np.int64]) -> bool:
    """Whether two lines of one turn have the same key.

    Each line leaves its number at a place of a table that its key names. Whoever then finds another's number there, or left it for another
    to find, is looked at; the others are alone at their place.
    """
    table = np.empty(_PLACES, np.int32)
    begin = 0
    for end in firsts[1:].tolist():
        if end - begin < _PLACES // 8 and end < len(keys):
            continue
        part = keys[begin:end]
        numbers, places = np.arange(len(part), dtype=np.int32), (part & np.uint64(_PLACES - 1)).astype(np.int64)
        table[places] = numbers
        last = table[places]
        others = np.flatnonzero(last != numbers)
        ordered = np.sort(part[np.concatenate([others, np.unique(last[others])])])
        if (ordered[1:] == ordered[:-1]).any():
            return True
        begin = end
    return False
