"""Which rows are read in one forward pass, and which passes make up a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from convbench.backends.batches import length_batches
from convbench.training.rows import Row, Text

Pass: TypeAlias = tuple[Text, ...] | tuple[Row, ...]
"""Rows that are padded to one length and read at once."""


PASS_TOKENS = 8192
"""Most tokens of a pass where the whole batch is held anyhow: long and short rows apart, so that little is padding."""


def whole_batch(texts: Sequence[Text], rows: Sequence[Row]) -> list[list[Pass]]:
    """Everything in one chunk, whose graph is held until its backward pass; read in passes of rows of like length."""
    return [[each for chunk in in_chunks(texts, rows, PASS_TOKENS) for each in chunk]]


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
