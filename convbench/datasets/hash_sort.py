"""Sorting 64-bit hashes of texts on disk: partition them by prefix into files, then sort file by file.

Memory stays near 16 bytes x 2^20 x a few, however many hashes there are (up to 2^28; beyond that the files grow).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.errors import storage_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAIR = np.dtype([("hash", "<u8"), ("row", "<i8")])
"""A hash and the row of the text it is of."""

_BUCKET_ROWS = 1 << 20
_MOST_BITS = 8


def hash_texts(texts: Iterable[str]) -> NDArray[np.uint64]:
    """The 8-byte BLAKE2b digests of texts (UTF-8) as little-endian numbers."""
    return np.frombuffer(b"".join(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts), dtype="<u8")


def sorted_pairs(blocks: Iterable[NDArray[np.uint64]], count: int, scratch: Path) -> Iterator[NDArray[Any]]:
    """Sorts hashes, keeping the row (from 0) at which each came.

    Args:
        blocks: The hashes, in row order, in blocks of any size.
        count: About how many there are.
        scratch: Folder for the files; it is emptied first and removed at the end.

    Yields:
        Arrays of ``PAIR``, ascending by hash and then by row. All pairs of one hash are in one array.

    Raises:
        StorageError: The disk is full or the folder cannot be written to.
    """
    bits = min(max(1, (count // _BUCKET_ROWS).bit_length()), _MOST_BITS)
    paths = [scratch / f"{bucket:03d}" for bucket in range(1 << bits)]
    with storage_errors(scratch):
        if scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir(parents=True)
        _partition(blocks, bits, paths)
    for path in paths:
        pairs = np.fromfile(path, dtype=PAIR)
        path.unlink()
        if len(pairs):
            # Stable: the rows of one hash stay in the order in which they came.
            yield pairs[np.argsort(pairs["hash"], kind="stable")]
    scratch.rmdir()


def _partition(blocks: Iterable[NDArray[np.uint64]], bits: int, paths: list[Path]) -> None:
    """Appends every (hash, row) to the file of the hash's first ``bits`` bits."""
    first = 0
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for hashes in blocks:
            buckets = hashes >> np.uint64(64 - bits)
            order = np.argsort(buckets, kind="stable")
            pairs = np.empty(len(hashes), dtype=PAIR)
            pairs["hash"], pairs["row"] = hashes[order], first + order
            first += len(hashes)
            ends = np.cumsum(np.bincount(buckets.astype(np.int64), minlength=len(files))).tolist()
            for file, start, end in zip(files, [0, *ends[:-1]], ends, strict=True):
                file.write(pairs[start:end].tobytes())
