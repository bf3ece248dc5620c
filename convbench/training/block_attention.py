"""Attention block by block, as a function that transformers' models call in the place of their own.

It is torch's attention, called by transformers' code, once a block instead of once a row. A model is told of it when it is opened for
training, for good: gradient checkpointing computes a layer again when nobody is there to say how. Without blocks it is transformers'
own function, so that whatever else is read with the model (evaluation, generation) is computed as before, and a saved checkpoint knows
nothing of it.

Only on a CPU: there, scores that are masked away cost as much as others. A GPU would have to start several small kernels in the place of
one large one, which has not been measured; it keeps masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from convbench.backends.loaded import Loaded
from convbench.training.blocks import Block, Run

if TYPE_CHECKING:
    from torch import Tensor

NAME = "convbench_blocks"


def allow_blocks(loaded: Loaded) -> None:
    """Tells a model of the function where it can be read by blocks; leaves it alone where it cannot.

    It can where its architecture hands what it does not know down to a replaceable attention (``_supports_attention_backend`` of
    transformers), now uses torch's, and goes by the positions that it is told.

    Args:
        loaded: The model; on a CPU, or it keeps masks.
    """
    import torch

    replaceable = getattr(loaded.body, "_supports_attention_backend", False) and _attention(loaded) == "sdpa"
    if not (replaceable and torch.device(loaded.device).type == "cpu" and loaded.takes_positions and not loaded.masks_by_place):
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    loaded.model.set_attn_implementation(NAME)


def reads_blocks(loaded: Loaded) -> bool:
    """Whether ``allow_blocks`` found that it can."""
    return _attention(loaded) == NAME


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    blocks: Sequence[Block] | None = None,
    **given: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it.

    Args:
        module: The layer.
        query: Shape (rows, heads, tokens, dim); one row where there are blocks.
        key: The same, perhaps with fewer heads.
        value: As ``key``.
        attention_mask: With blocks, the masks of all, one after another: shape (1, 1, 1, sum of queries x keys).
        blocks: What the row is cut into; None: transformers' own function.
        given: What that takes.

    Returns:
        Shape (rows, tokens, heads, dim), and no weights.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if blocks is None or attention_mask is None:
        whole: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **given)
        return whole
    lengths = [block.queries for block in blocks]
    queries, keys, values = (torch.split(each, lengths, dim=2) for each in (query, key, value))
    masks = torch.split(attention_mask.flatten(), [block.queries * block.keys for block in blocks])
    found = []
    for number, block in enumerate(blocks):
        pieces = [*_pieces(blocks[:number], block.seen), (number, 0, block.queries)]
        mask = masks[number].view(1, 1, block.queries, block.keys)
        own, _ = sdpa_attention_forward(module, queries[number], _joined(keys, pieces), _joined(values, pieces), mask, **given)
        found.append(own)
    return torch.cat(found, dim=1), None


def _attention(loaded: Loaded) -> str | None:
    """The name of the model's attention."""
    name: str | None = loaded.body.config.get_text_config()._attn_implementation
    return name


def _pieces(earlier: Sequence[Block], seen: Sequence[Run]) -> Iterator[tuple[int, int, int]]:
    """Runs of places as pieces of earlier blocks: (number of the block, first, end)."""
    for first, end in seen:
        for number, block in enumerate(earlier):
            start = block.own[0]
            begins, ends = max(first, start), min(end, block.own[1])
            if begins < ends:
                yield number, begins - start, ends - start


def _joined(states: Sequence[Tensor], pieces: Sequence[tuple[int, int, int]]) -> Tensor:
    """Pieces of blocks one after another. They are cut from blocks, as the gradient of what is cut is as large as what it is cut from."""
    import torch

    return torch.cat([states[number][:, :, first:end] for number, first, end in pieces], dim=2)
