"""From passage ids to rows: hashes of the ids, sorted, beside their rows, on disk and memory-mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from convbench.datasets.hash_sort import hash_texts, sorted_pairs
from convbench.errors import DataError
from convbench.io.atomic import atomic_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

IdsAt: TypeAlias = "Callable[[NDArray[np.int64]], list[str]]"
"""Gives the ids stored at rows; a hash only nominates a row, the stored id decides."""

_HASHES, _ROWS = "id-hashes.u64", "id-rows.i64"
INDEX_FILES = (_HASHES, _ROWS)
"""The files of an index."""


def write_id_index(folder: Path, id_blocks: Iterable[Sequence[str]], count: int, ids_at: IdsAt) -> None:
    """Writes the index of ``count`` ids that come in row order, in blocks.

    Raises:
        DataError: An id comes twice.
        StorageError: The disk is full or the folder cannot be written to.
    """
    with (
        atomic_path(folder / _HASHES) as hashes_path,
        atomic_path(folder / _ROWS) as rows_path,
        hashes_path.open("wb") as hashes,
        rows_path.open("wb") as rows,
    ):
        for pairs in sorted_pairs(map(hash_texts, id_blocks), count, folder / "id-buckets"):
            _refuse_duplicates(pairs, ids_at, folder)
            hashes.write(pairs["hash"].tobytes())
            rows.write(pairs["row"].tobytes())


class IdIndex:
    """The index in a folder.

    Args:
        folder: Where it was written.
        count: The number of ids it must hold.
        ids_at: Reads stored ids.

    Raises:
        DataError: A file is missing or of another length.
    """

    def __init__(self, folder: Path, count: int, ids_at: IdsAt) -> None:
        self._hashes: NDArray[np.uint64] = _mapped(folder / _HASHES, "<u8", count)
        self._rows: NDArray[np.int64] = _mapped(folder / _ROWS, "<i8", count)
        self._ids_at = ids_at

    def rows(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The row of every id, -1 where it is unknown."""
        found = np.full(len(ids), -1, dtype=np.int64)
        wanted = hash_texts(ids)
        places = np.searchsorted(self._hashes, wanted)
        pending = np.arange(len(ids))
        # One pass, and one more for every further id that shares a hash.
        while pending.size:
            pending = pending[places[pending] < len(self._hashes)]
            pending = pending[self._hashes[places[pending]] == wanted[pending]]
            rows = self._rows[places[pending]]
            same = np.array([ids[i] == stored for i, stored in zip(pending.tolist(), self._ids_at(rows), strict=True)], dtype=bool)
            found[pending[same]] = rows[same]
            pending = pending[~same]
            places[pending] += 1
        return found


def _refuse_duplicates(pairs: NDArray[Any], ids_at: IdsAt, folder: Path) -> None:
    """Equal ids have equal hashes, so only runs of one hash are looked at; different ids in a run are a mere collision."""
    starts = np.flatnonzero(np.r_[True, pairs["hash"][1:] != pairs["hash"][:-1]])
    lengths = np.diff(np.append(starts, len(pairs)))
    for start, length in zip(starts[lengths > 1].tolist(), lengths[lengths > 1].tolist(), strict=True):
        run = pairs["row"][start : start + length]
        first_row: dict[str, int] = {}
        for row, id_ in zip(run.tolist(), ids_at(run), strict=True):
            if first_row.setdefault(id_, row) != row:
                message = f"the collection holds passage {first_row[id_] + 1} and passage {row + 1} under one id; ids must be unique"
                raise DataError(folder, message, where=id_)


def _mapped(path: Path, dtype: str, count: int) -> NDArray[Any]:
    size = path.stat().st_size if path.is_file() else 0
    if size != count * np.dtype(dtype).itemsize:
        raise DataError(path, f"the id index holds {size} bytes for {count} passages; delete the store's folder and prepare it again")
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=(count,)))
