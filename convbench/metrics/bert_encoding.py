"""Token embeddings of texts: what BERTScore matches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Embedding: TypeAlias = NDArray[np.float32]
    """Shape (tokens, dim); every row has length 1."""

Ids: TypeAlias = Sequence[int]

_CPU_TOKENS = 1024
"""Of a batch: on a processor, larger ones only leave its caches."""
_GPU_TOKENS = 32768
_SPREAD = 0.1
"""Of a text's length, what it may be filled up by: with none, batches are too small; with more, there is more to compute."""


def embed(model: Any, rows: Sequence[Ids], padding: int, most_rows: int) -> list[Embedding]:
    """The model's output for each token of some texts, every row scaled to length 1.

    bert-score forms batches by counts of words and pads them to the longest text in tokens, which for answers to questions is half as much
    again as there is. Here only texts of like length in tokens go together. What a text is batched with moves no more than the last digits.

    Args:
        model: The encoder.
        rows: Token ids of each text, special ones included.
        padding: The id that fills up shorter texts.
        most_rows: Most texts in a batch.
    """
    import torch

    device = next(model.parameters()).device
    most_tokens = _CPU_TOKENS if device.type == "cpu" else _GPU_TOKENS
    batches = like_batches([len(row) for row in rows], most_tokens, most_rows, _SPREAD)
    embeddings: list[Any] = [None] * len(rows)
    with torch.inference_mode():
        for batch in batches:
            given = [list(rows[index]) for index in batch]
            ids = torch.tensor([[*row, *[padding] * (len(given[0]) - len(row))] for row in given], device=device)
            lengths = torch.tensor([len(row) for row in given], device=device)
            mask = torch.arange(ids.shape[1], device=device)[None, :] < lengths[:, None]
            output = model(ids, attention_mask=mask.long())[0]
            output = (output / torch.linalg.vector_norm(output, dim=-1, keepdim=True)).cpu().numpy()
            for index, row, vectors in zip(batch, given, output, strict=True):
                embeddings[index] = vectors[: len(row)]
    return embeddings


def like_batches(lengths: Sequence[int], tokens: int, rows: int, spread: float) -> Iterator[list[int]]:
    """Splits texts into batches of like length, longest first.

    Args:
        lengths: Tokens of each text.
        tokens: Most tokens in a batch, padding included; a text that is longer gets a batch of its own.
        rows: Most texts in a batch.
        spread: By how much of its own length a text may be filled up.

    Yields:
        Indexes into ``lengths``, the longest text first.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        longest = lengths[batch[0]] if batch else 0
        if batch and (longest * (len(batch) + 1) > tokens or len(batch) == rows or longest > lengths[index] * (1 + spread)):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
