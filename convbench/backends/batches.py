"""Batches of inputs of like length: padding is what costs time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_FITS_CACHES = 512
"""Tokens of a batch on a processor: the hidden states of more leave its caches, which costs MiniLM a third of its speed."""


def batch_limit(device: str, tokens: int) -> int:
    """Most tokens in a batch that is only read, and not gone on from: on a processor, large batches are slower than small ones.

    Args:
        device: Where it is read.
        tokens: How many are allowed.
    """
    return min(tokens, _FITS_CACHES) if device == "cpu" else tokens


def length_batches(lengths: Sequence[int], tokens: int, rows: int | None = None) -> Iterator[list[int]]:
    """Splits inputs into batches, longest first, so that what does not fit into memory fails at once.

    Args:
        lengths: Tokens of each input.
        tokens: Most tokens in a batch, padding included; an input that is longer gets a batch of its own.
        rows: Most inputs in a batch.

    Yields:
        Indexes into ``lengths``. They depend on nothing but the arguments, so that the same work repeats exactly.
    """
    batch: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        longest = longest or max(lengths[index], 1)
        if batch and (longest * (len(batch) + 1) > tokens or len(batch) == rows):
            yield batch
            batch, longest = [], max(lengths[index], 1)
        batch.append(index)
    if batch:
        yield batch
