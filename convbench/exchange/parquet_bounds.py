"""How much is taken from one Parquet file, so that none fills the memory: a few bytes can stand for very many (``docs/limits.md``).

A value that repeats is stored once and numbered, equal numbers in a row are stored as one, and pages are compressed: a file of 9 KB can
hold 200 GB. So the sizes that the file states are added up first, then each row group is read in batches that its longest repeated value
allows, and the sizes of rows are computed before any of their values becomes a Python object.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.errors import DataError
from convbench.io.bounds import FREE_EXPANSION, MAX_DOCUMENT, MAX_EXPANSION, MAX_LINE, MIB

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_FIXED = 1024
"""Bytes of a value of a type with a fixed length (the longest in use have 32)."""

_ROWS = 1000
_PREFIXES = "DELTA_BYTE_ARRAY"  # values share beginnings, so a value can be as long as all that is stored
_LONG = f"longer than {MAX_LINE // MIB} MiB, the most that is read as one row"


class Expansion:
    """Counts what a file gives, in bytes.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._given = path, 0
        self._most = max(FREE_EXPANSION, MAX_EXPANSION * path.stat().st_size)

    def add(self, size: int) -> None:
        """Counts bytes.

        Raises:
            DataError: The file gives more than it may.
        """
        self._given += size
        if self._given > self._most:
            message = f"a Parquet file that gives more than {FREE_EXPANSION // MIB} MiB and {MAX_EXPANSION} times its own size is refused"
            raise DataError(self._path, f"{message}; if it is what it should be, save it as JSON lines")


def check_stated_sizes(path: Path, table: Any) -> None:
    """Adds up what the file says of itself; a value counts as one byte at least.

    Raises:
        DataError: It gives more than it may, or has values of a fixed length that is too long.
    """
    stated = Expansion(path)
    for group, column in np.ndindex(table.metadata.num_row_groups, table.metadata.num_columns):
        chunk = table.metadata.row_group(group).column(column)
        stated.add(chunk.total_uncompressed_size + chunk.num_values)
    for column in range(len(table.schema)):
        if table.schema.column(column).length > MAX_FIXED:
            message = f"values of a fixed length of more than {MAX_FIXED} bytes, the most that is read"
            raise DataError(path, message, where=f"column {table.schema.column(column).path!r}")


def numbered_lists(path: Path, table: Any) -> list[str]:
    """The columns of texts within lists that must be read with repeated values stored once: a single row can repeat one without end.

    Raises:
        DataError: One is stored in a way that cannot be read so, and could give more than a document may.
    """
    found = set()
    metadata = table.metadata
    for group, column in np.ndindex(metadata.num_row_groups, metadata.num_columns):
        chunk = metadata.row_group(group).column(column)
        if not table.schema.column(column).max_repetition_level or not _repeats(chunk):
            continue
        if not _is_delta(chunk):
            found.add(chunk.path_in_schema)
        elif chunk.total_uncompressed_size * chunk.num_values > MAX_DOCUMENT:
            message = f"lists in the encoding {_PREFIXES} could give more than {MAX_DOCUMENT // MIB} MiB at once; save it as JSON lines"
            raise DataError(path, message, where=f"column {chunk.path_in_schema!r}")
    return sorted(found)


def rows_at_once(path: Path, table: Any, group: int) -> int:
    """How many rows of a row group are read together, so that they fit into memory even if all have the longest value.

    Raises:
        DataError: The longest value is too long.
    """
    metadata = table.metadata.row_group(group)
    row: int = metadata.total_byte_size // max(1, metadata.num_rows)
    for column in range(metadata.num_columns):
        chunk = metadata.column(column)
        if table.schema.column(column).max_repetition_level or not _repeats(chunk):
            continue
        if _is_delta(chunk):
            row += chunk.total_uncompressed_size
            continue
        if (longest := _longest_repeated(path, group, chunk.path_in_schema)) > MAX_LINE:
            raise DataError(path, f"row group {group + 1} holds a value {_LONG}", where=f"column {chunk.path_in_schema!r}")
        row += longest
    return max(1, min(_ROWS, MAX_LINE // max(1, row)))


def row_sizes(path: Path, batch: Any, before: int) -> NDArray[np.int64]:
    """The bytes of each row's values.

    Args:
        path: The file.
        batch: The rows.
        before: How many rows came before.

    Raises:
        DataError: A row is too long.
    """
    sizes = sum((_sizes(column) for column in batch.columns), np.zeros(batch.num_rows, dtype=np.int64))
    if len(long := np.flatnonzero(sizes > MAX_LINE)):
        raise DataError(path, _LONG, where=f"row {before + long[0] + 1}")
    return sizes


def _repeats(chunk: Any) -> bool:
    """Whether texts of a column may be stored once and given many times."""
    return chunk.physical_type == "BYTE_ARRAY" and (chunk.has_dictionary_page or _PREFIXES in chunk.encodings)


def _is_delta(chunk: Any) -> bool:
    """Whether pyarrow cannot give the column's values numbered."""
    return any(encoding.startswith("DELTA_") for encoding in chunk.encodings)


def _longest_repeated(path: Path, group: int, column: str) -> int:
    """Bytes of the longest value that a column of a row group stores once; found in its dictionary, which comes with the first row."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, read_dictionary=[column], pre_buffer=False, buffer_size=MIB) as table:
        for batch in table.iter_batches(1, row_groups=[group], columns=[column]):
            values = batch.column(0)
            while hasattr(values, "field"):  # within objects
                values = values.field(0)
            return int(_sizes(getattr(values, "storage", values).dictionary).max(initial=0))
    return 0


def _sizes(array: Any) -> NDArray[np.int64]:
    """The bytes of each value; an item of a list counts 8 more."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _sizes(array.storage)
    if pa.types.is_dictionary(kind):
        return np.append(_sizes(array.dictionary), 0)[_numbers(array.indices.fill_null(-1))]
    if pa.types.is_struct(kind):
        return sum((_sizes(field) for field in array.flatten()), np.zeros(len(array), dtype=np.int64))
    if pa.types.is_map(kind):
        ends = _numbers(array.offsets)
        items = np.concatenate(([0], np.cumsum(_sizes(array.keys) + _sizes(array.items))))
        return np.asarray(np.diff(items[ends]) + 8 * np.diff(ends))
    if pa.types.is_nested(kind):
        lengths = _numbers(pc.list_value_length(array).fill_null(0))
        items = np.concatenate(([0], np.cumsum(_sizes(array.flatten()))))
        ends = np.cumsum(lengths)
        return np.asarray(items[ends] - items[ends - lengths] + 8 * lengths)
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return _numbers(pc.binary_length(array).fill_null(0))
    return np.full(len(array), array.nbytes // max(1, len(array)), dtype=np.int64)


def _numbers(array: Any) -> NDArray[np.int64]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)
