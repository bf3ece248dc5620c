"""Which rows are read in one forward pass, and which passes make up a chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from convbench.backends.batches import length_batches
from convbench.training.rows import Row, Text

Pass: TypeAlias = tuple[Text, ...] | tuple[Row, ...]
"""Rows that are padded to one length and read at once."""


PASS_TOKENS = 8192
"""Most tokens of a pass where the whole batch is held anyhow."""

PASS_PADDING = 256
"""Most tokens of padding in such a pass: what a pass costs beside its tokens is worth about as much, less on a CPU and more on a GPU.

A model that is read by blocks (``training.block_attention``) pads nothing, and loses little by another pass.
"""


def whole_batch(texts: Sequence[Text], rows: Sequence[Row]) -> list[list[Pass]]:
    """Everything in one chunk, whose graph is held until its backward pass; read in passes of rows of like length."""
    found: list[Pass] = []
    for batch in length_batches([len(text.tokens) for text in texts], PASS_TOKENS):
        found += [tuple(texts[index] for index in alike) for alike in _alike(batch, [len(text.tokens) for text in texts])]
    for batch in length_batches([len(row.tokens) for row in rows], PASS_TOKENS):
        found += [tuple(rows[index] for index in alike) for alike in _alike(batch, [len(row.tokens) for row in rows])]
    return [found]


def in_chunks(texts: Sequence[Text], rows: Sequence[Row], tokens: int) -> list[list[Pass]]:
    """A chunk a pass, of rows of like length.

    Args:
        texts: What is encoded as at inference.
        rows: What is read with masks.
        tokens: Most tokens of a pass, padding included; a row that is longer gets a pass of its own.
    """
    encoded = length_batches([len(text.tokens) for text in texts], tokens)
    masked = length_batches([len(row.tokens) for row in rows], tokens)
    found: list[Pass] = [tuple(texts[index] for index in batch) for batch in encoded]
    found += [tuple(rows[index] for index in batch) for batch in masked]
    return [[each] for each in found]


def _alike(batch: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Splits a batch, longest first, wherever padding would come to more than ``PASS_PADDING``."""
    alike: list[int] = []
    padding = 0
    for index in batch:
        added = lengths[alike[0]] - lengths[index] if alike else 0
        if padding + added > PASS_PADDING:
            yield alike
            alike, padding, added = [], 0, 0
        alike.append(index)
        padding += added
    yield alike
