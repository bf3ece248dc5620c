"""Encoding a collection into postings, resumable at every shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convbench.backends.sparse_encoder import SparseEncoder
from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.io.atomic import atomic_path
from convbench.meter import Meter
from convbench.progress import Advance, progress_bar
from convbench.retrieval.postings import Postings, arrays_of, not_finite
from convbench.views.passages import passage_text

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ENCODED_TOGETHER = 1024
"""Enough for an encoder to make batches of like length, few enough for the progress bar to move."""


def build_postings(postings: Postings, store: PassageStore, encoder: SparseEncoder, meter: Meter) -> None:
    """Encodes the shards that are missing or damaged. A build that was killed goes on, and ends with the bytes of one that was not.

    Of two processes that build one index the second waits, then finds the first one's shards.

    Args:
        postings: What there must be.
        store: The passages.
        encoder: Encodes them.
        meter: Building is its phase ``index``.

    Raises:
        UsageError: A weight is not finite.
        StorageError: The disk is full or the folder cannot be written to; the same call goes on where it stopped.
    """
    folder = postings.folder
    if not _missing(postings):
        folder.tidy()
        return
    with folder.locked():
        missing = _missing(postings)
        for start in missing:
            for part in postings.parts(start):
                if fault := folder.fault(part):
                    folder.report(part, fault)
        done = postings.size - sum(postings.parts(start)[0].rows for start in missing)
        with meter.phase("index"), progress_bar("sparse: encode passages", postings.size, done=done, unit="passage") as advance:
            for start in missing:
                parts = postings.parts(start)
                arrays = arrays_of(_encode(store, encoder, start, start + parts[0].rows, meter, advance))
                for part, array in zip(parts, arrays, strict=True):
                    with atomic_path(folder.path / part.name) as temporary, temporary.open("wb") as handle:
                        np.save(handle, array)
                for part in parts:
                    folder.record(part)


def _missing(postings: Postings) -> list[int]:
    """The first rows of the shards to encode."""
    return [start for start in postings.starts if any(map(postings.folder.fault, postings.parts(start)))]


def _encode(store: PassageStore, encoder: SparseEncoder, start: int, stop: int, meter: Meter, advance: Advance) -> csr_array:
    from scipy.sparse import vstack

    blocks = []
    for row in range(start, stop, _ENCODED_TOGETHER):
        passages = store.texts(row, min(row + _ENCODED_TOGETHER, stop))
        encoded = encoder.encode_passages([passage_text(passage) for passage in passages], meter)
        if (number := not_finite(encoded.weights)) is not None:
            what = f"passage {passages[number].id!r}: the weight of a word is not finite"
            raise UsageError(f"{what}; check the checkpoint and the precision it runs in")
        blocks.append(encoded.weights)
        advance(len(passages), sum(encoded.tokens))
    return vstack(blocks, format="csr")
