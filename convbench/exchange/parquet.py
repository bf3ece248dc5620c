"""Parquet tables, read and written batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.errors import DataError, reading_error
from convbench.exchange.parquet_bounds import Expansion, check_stated_sizes, numbered_lists, row_sizes, rows_at_once
from convbench.exchange.parquet_footer import check_footer
from convbench.io.atomic import atomic_path
from convbench.io.bounds import MAX_LINE, MIB
from convbench.io.records import Record

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1000


def read_rows(path: Path) -> Iterator[Record]:
    """The rows of a Parquet file as objects; a message names the row, counted from 1.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is no Parquet file, or damaged, or beyond a bound of ``convbench.exchange.parquet_bounds``.
    """
    import pyarrow as pa

    number = 0
    check_footer(path)
    try:
        for batch in _batches(path):
            for values in batch.to_pylist():
                number += 1
                yield Record(path, values, where=f"row {number}")
    except OSError as error:
        raise reading_error(error, path) or DataError(path, f"not a readable Parquet file: {_line(error)}") from None
    except (pa.ArrowException, ArithmeticError, LookupError, ValueError) as error:  # what pyarrow raises on damaged tables
        raise DataError(path, f"not a readable Parquet file: {_line(error)}") from None


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows in batches that stay small as Python objects, too."""
    import pyarrow.parquet as pq

    given = Expansion(path)
    with pq.ParquetFile(path) as table:
        check_stated_sizes(path, table)
        numbered = numbered_lists(path, table)
    before = 0
    with pq.ParquetFile(path, read_dictionary=numbered, pre_buffer=False, buffer_size=MIB) as table:
        for group in range(table.metadata.num_row_groups):
            for batch in table.iter_batches(rows_at_once(path, table, group), row_groups=[group]):
                sizes = row_sizes(path, batch, before)
                given.add(int(sizes.sum()))
                cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // MAX_LINE)) + 1
                for start, end in pairwise([0, *cuts.tolist(), batch.num_rows]):
                    yield batch.slice(start, end - start)
                before += batch.num_rows


def write_rows(path: Path, columns: Mapping[str, pa.DataType], rows: Iterable[Sequence[Any]]) -> int:
    """Writes a Parquet file atomically, holding one batch of rows in memory; returns how many rows it has.

    Args:
        path: The file.
        columns: Name -> Arrow type.
        rows: One value a column, in that order.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(list(columns.items()))
    stream, count = iter(rows), 0
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while batch := list(islice(stream, _ROWS)):
            count += len(batch)
            arrays = [pa.array(values, type=kind) for values, kind in zip(zip(*batch, strict=True), columns.values(), strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return count


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
