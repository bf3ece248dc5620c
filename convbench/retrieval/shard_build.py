"""Encoding a collection into shards, resumable at every shard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from convbench.backends.base import TextEncoder, Vectors
from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.io.atomic import atomic_path
from convbench.meter import Meter
from convbench.progress import Advance, progress_bar
from convbench.retrieval.index_folder import Part
from convbench.retrieval.shards import Shards, Storage
from convbench.types import Passage
from convbench.views.passages import passage_text

ENCODED_TOGETHER = 1024
"""Enough for an encoder to make batches of like length, few enough for the progress bar to move."""


def build_shards(shards: Shards, store: PassageStore, encoder: TextEncoder, meter: Meter) -> None:
    """Encodes the shards that are missing or damaged. A build that was killed goes on, and ends with the bytes of one that was not.

    Of two processes that build one index the second waits, then finds the first one's shards.

    Args:
        shards: What there must be.
        store: The passages.
        encoder: Encodes them.
        meter: Building is its phase ``index``.

    Raises:
        UsageError: A vector cannot be stored.
        StorageError: The disk is full or the folder cannot be written to; the same call goes on where it stopped.
    """
    with missing_shards(shards, meter) as (missing, advance):
        for start, part in missing.items():
            vectors = encode_shard(store, encoder, start, part, shards.storage, meter, advance)
            with atomic_path(shards.path(part)) as temporary, temporary.open("wb") as handle:
                np.save(handle, vectors)
            shards.folder.record(part)


@contextmanager
def missing_shards(shards: Shards, meter: Meter) -> Iterator[tuple[dict[int, Part], Advance]]:
    """Keeps other builders out while shards are made; nothing is locked or written for a finished index that no killed build left untidy.

    Args:
        shards: What there must be.
        meter: Building is its phase ``index``.

    Yields:
        The shards to make, by their first row, and what moves the progress bar.
    """
    if not any(map(shards.fault, shards.parts)):
        shards.folder.tidy()
        yield {}, lambda count, tokens=0: None
        return
    with shards.folder.locked():
        missing = _missing(shards)
        done = shards.size - sum(part.rows for part in missing.values())
        with meter.phase("index"), progress_bar("dense: encode passages", shards.size, done=done, unit="passage") as advance:
            yield missing, advance


def _missing(shards: Shards) -> dict[int, Part]:
    """The shards to encode, by their first row."""
    missing = {}
    for number, part in enumerate(shards.parts):
        if fault := shards.fault(part):
            shards.folder.report(part, fault)
            missing[number * shards.shard_rows] = part
    return missing


def encode_shard(
    store: PassageStore, encoder: TextEncoder, start: int, part: Part, storage: Storage, meter: Meter, advance: Advance
) -> npt.NDArray[np.floating]:
    """The vectors of one shard: the same wherever it is made.

    Args:
        store: The passages.
        encoder: Encodes them.
        start: The shard's first row.
        part: Its file.
        storage: How a value is stored.
        meter: Where forward passes and tokens are counted.
        advance: Told of encoded passages and their tokens.

    Raises:
        UsageError: A vector cannot be stored.
    """
    vectors = np.empty((part.rows, part.dim), dtype=storage)
    for row in range(0, part.rows, ENCODED_TOGETHER):
        stop = min(row + ENCODED_TOGETHER, part.rows)
        passages = store.texts(start + row, start + stop)
        encoded = encoder.encode_passages([passage_text(passage) for passage in passages], meter)
        vectors[row:stop] = _storable(encoded.vectors, passages, storage)
        advance(len(passages), sum(encoded.tokens))
    return vectors


def _storable(vectors: Vectors, passages: list[Passage], storage: Storage) -> Vectors:
    """The vectors, all of whose values the storage can hold."""
    largest = np.finfo(storage).max
    fits = np.abs(vectors) <= largest  # false for NaN
    if fits.all():
        return vectors
    row, place = np.argwhere(~fits)[0]
    what = f"passage {passages[row].id!r}: value {place} of its vector is {vectors[row, place]:g}"
    advice = "set `storage: float32` (values that are not finite there either come from the checkpoint or its precision)"
    raise UsageError(
        f"{what}; {storage} holds finite values up to {largest:g}; "
        + (advice if storage == "float16" else "check the checkpoint and the precision it runs in")
    )
