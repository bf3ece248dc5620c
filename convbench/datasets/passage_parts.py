"""The parts of a passage store: Arrow IPC files of a fixed number of passages, memory-mapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convbench.errors import DataError
from convbench.io.atomic import atomic_path
from convbench.types import Passage

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_FIELDS = ("id", "title", "text")
# A part is written in a few record batches, so that it is not in memory twice; many would make opening hundreds of parts slow.
_BATCH = 25_000
# A pass over a part makes Python strings of this many passages at a time.
_BLOCK = 4096
REBUILD = "delete the store's folder and prepare it again"
"""What to do with a damaged part."""


def write_part(path: Path, passages: Sequence[Passage]) -> None:
    """Writes one part atomically.

    Raises:
        StorageError: The disk is full or the folder cannot be written to.
    """
    import pyarrow as pa

    # 64-bit offsets: a part of long documents may hold more than 2 GiB of text.
    schema = pa.schema([pa.field(name, pa.large_string(), nullable=False) for name in _FIELDS])
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
        for at in range(0, len(passages), _BATCH):
            block = passages[at : at + _BATCH]
            columns = [pa.array([getattr(passage, name) for passage in block], pa.large_string()) for name in _FIELDS]
            writer.write_batch(pa.record_batch(columns, schema=schema))


class PassagePart:
    """One part, mapped into memory; the file is not kept open.

    Args:
        path: The file.
        rows: The number of passages it must hold.
        check: Look at every offset and every character first: for a file that no digest vouches for.

    Raises:
        DataError: The file is missing, damaged or of another length.
    """

    __slots__ = ("_id_bytes", "_ids", "_texts", "_titles", "rows")

    def __init__(self, path: Path, rows: int, *, check: bool = False) -> None:
        table = _mapped(path, check=check)
        lengths = [len(chunk) for chunk in table.columns[0].chunks] if table.num_columns else []
        if table.num_rows != rows or tuple(table.schema.names) != _FIELDS or any(length != lengths[0] for length in lengths[:-1]):
            raise DataError(path, f"found {table.num_rows} rows of {table.schema.names}, expected {rows} of {list(_FIELDS)}; {REBUILD}")
        self.rows = rows
        self._ids, self._titles, self._texts = table.columns
        self._id_bytes = _Strings(self._ids)

    def id(self, row: int) -> str:
        """The id of one row."""
        return self._id_bytes.at((row,))[0]

    def ids_at(self, rows: Sequence[int]) -> list[str]:
        """The ids of some rows."""
        return self._id_bytes.at(rows)

    def ids(self) -> list[str]:
        """All ids, in row order."""
        return self._ids.to_pylist()  # type: ignore[no-any-return]

    def passage(self, row: int) -> Passage:
        """The passage of one row."""
        return Passage(self._ids[row].as_py(), self._texts[row].as_py(), self._titles[row].as_py())

    def passages(self, start: int, stop: int) -> Iterator[Passage]:
        """The passages of the rows from ``start`` up to ``stop``."""
        for at in range(start, stop, _BLOCK):
            columns = (column.slice(at, min(_BLOCK, stop - at)).to_pylist() for column in (self._ids, self._texts, self._titles))
            yield from map(Passage, *columns)


class _Strings:
    """The strings of a column, each decoded where it lies: a ranking names hundreds, and an Arrow object for each takes twice the time.

    Args:
        column: Of 64-bit offsets, without nulls; its chunks, the last apart, hold the same number of strings.
    """

    __slots__ = ("_chunk", "_chunks")

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._chunk = len(column.chunks[0])
        self._chunks = [_buffers(chunk) for chunk in column.chunks]

    def at(self, rows: Sequence[int]) -> list[str]:
        size, found = self._chunk, []
        for row in rows:
            ends, data = self._chunks[row // size]
            place = row % size
            found.append(str(data[ends[place] : ends[place + 1]], "utf-8"))
        return found


def _buffers(chunk: pa.Array) -> tuple[memoryview, memoryview]:
    """Where strings end, and their bytes."""
    _, ends, data = chunk.buffers()
    return memoryview(ends).cast("q")[chunk.offset :], memoryview(data if data is not None else b"")


class PassageParts:
    """All parts of a store as one sequence of rows.

    Args:
        paths: The files, in row order.
        counts: How many passages each holds; all but the last hold the same number.
    """

    def __init__(self, paths: Sequence[Path], counts: Sequence[int]) -> None:
        self._parts = [PassagePart(path, rows) for path, rows in zip(paths, counts, strict=True)]
        self._part_rows = counts[0]
        self._rows = sum(counts)

    def __len__(self) -> int:
        return self._rows

    def ids(self, rows: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """The ids of ``rows``."""
        if len(self._parts) == 1:
            return self._parts[0].ids_at(self._inside(rows).tolist())
        return [part.id(row) for part, row in self._places(rows)]

    def passages(self, rows: Sequence[int] | NDArray[np.integer]) -> list[Passage]:
        """The passages of ``rows``."""
        return [part.passage(row) for part, row in self._places(rows)]

    def slice(self, start: int, stop: int) -> Iterator[Passage]:
        """The passages from row ``start`` up to ``stop``."""
        while start < stop:
            number, row = divmod(start, self._part_rows)
            part = self._parts[number]
            end = min(part.rows, row + stop - start)
            yield from part.passages(row, end)
            start += end - row

    def _places(self, rows: Sequence[int] | NDArray[np.integer]) -> Iterator[tuple[PassagePart, int]]:
        numbers, places = np.divmod(self._inside(rows), self._part_rows)
        return ((self._parts[number], row) for number, row in zip(numbers.tolist(), places.tolist(), strict=True))

    def _inside(self, rows: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
        wanted = np.asarray(rows, dtype=np.int64)
        outside = (wanted < 0) | (wanted >= self._rows)
        if outside.any():
            # -1 is "unknown" in what ``rows`` gives; as a Python index it would silently be the last passage.
            raise IndexError(f"row {wanted[outside][0]} is outside the store's rows 0 to {self._rows - 1}")
        return wanted


def _mapped(path: Path, *, check: bool) -> pa.Table:
    import pyarrow as pa

    try:
        # The mapping outlives the closed file: hundreds of parts need no file descriptors.
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        if check:
            table.validate(full=True)
        return table
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(path, f"not a readable part of a passage store ({str(error).splitlines()[0]}); {REBUILD}") from None
