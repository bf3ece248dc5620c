"""Encoding inputs the plain way: one forward pass over each, in batches of like length; one by one in 8-bit integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convbench.backends.base import Vectors
from convbench.backends.batches import batch_limit, length_batches
from convbench.backends.loaded import Loaded
from convbench.backends.masks import bidirectional
from convbench.backends.pooling import pool
from convbench.meter import Meter

Ids = Sequence[int]


def encode_inputs(loaded: Loaded, inputs: Sequence[Ids], meter: Meter, *, batch_tokens: int, skip: int = 0) -> Vectors:
    """Encodes token ids.

    Args:
        loaded: The model.
        inputs: Token ids of each input, opening and closing tokens included.
        meter: Where forward passes and tokens are counted.
        batch_tokens: Most tokens in a batch; on a processor there are fewer (``batch_limit``).
        skip: Tokens at the start of each input that are not pooled.

    Returns:
        Shape (inputs, dim), float32.
    """
    vectors: list[Any] = [None] * len(inputs)
    limit = 1 if loaded.is_int8 else batch_limit(loaded.device, batch_tokens)
    for batch in length_batches([len(ids) for ids in inputs], limit):
        encoded = encode_batch(loaded, [inputs[index] for index in batch], skip=skip, padding=loaded.profile.padding)
        meter.count(forward_passes=1, tokens_in=sum(len(inputs[index]) for index in batch))
        for index, vector in zip(batch, encoded, strict=True):
            vectors[index] = vector
    if not vectors:
        return np.empty((0, loaded.dim), dtype=np.float32)
    stacked: Vectors = np.stack(vectors)
    if loaded.approximation is not None:
        loaded.approximation.gather(inputs, stacked, meter, skip=skip)
    return stacked


def encode_batch(loaded: Loaded, inputs: Sequence[Ids], *, skip: int, padding: str) -> Vectors:
    """Encodes one batch, padded on the given side."""
    import torch

    ids, mask = padded(loaded, inputs, padding)
    with torch.inference_mode():
        hidden = hidden_states(loaded, ids, mask)
        return finished(loaded, pool(hidden, _pooled_tokens(mask, skip), loaded.profile.pooling))


def padded(loaded: Loaded, inputs: Sequence[Ids], padding: str) -> tuple[Any, Any]:
    """Ids and mask of a batch, both of shape (inputs, longest)."""
    import torch

    longest = max(map(len, inputs))
    ids = torch.full((len(inputs), longest), loaded.tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(inputs):
        place = slice(longest - len(tokens), longest) if padding == "left" else slice(0, len(tokens))
        ids[row, place] = torch.tensor(tokens)
        mask[row, place] = 1
    return ids.to(loaded.device), mask.to(loaded.device)


def hidden_states(loaded: Loaded, ids: Any, mask: Any) -> Any:
    """The last layer's hidden states, under the attention that the profile asks for."""
    given: dict[str, Any] = {"attention_mask": mask}
    if loaded.takes_positions:
        given["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0) + loaded.first_position
    if loaded.profile.attention == "bidirectional" and loaded.is_causal:
        given["attention_mask"] = bidirectional(mask, loaded.windows, loaded.torch_dtype)
    if "use_cache" in loaded.body_arguments:
        given["use_cache"] = False
    return loaded.body(input_ids=ids, **given).last_hidden_state


def finished(loaded: Loaded, pooled: Any) -> Vectors:
    """What comes after pooling: the head, and length 1."""
    import torch

    vectors = loaded.head(pooled) if loaded.head is not None else pooled
    vectors = vectors.float()
    if loaded.profile.normalize:
        vectors = torch.nn.functional.normalize(vectors, dim=-1)
    array: Vectors = vectors.cpu().numpy()
    return array


def _pooled_tokens(mask: Any, skip: int) -> Any:
    """The mask without each input's first ``skip`` tokens."""
    return mask * (mask.cumsum(dim=1) > skip)
