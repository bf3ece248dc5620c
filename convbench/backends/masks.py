"""Which token sees which: masks from positions, so that padding, cached prefixes and branches need no cases of their own."""

from __future__ import annotations

from typing import Any


def additive(visible: Any, dtype: Any) -> Any:
    """A mask as models add it to attention scores: 0 where visible, the lowest number elsewhere.

    Args:
        visible: Booleans, shape (rows, queries, keys).
        dtype: The model's.

    Returns:
        Shape (rows, 1, queries, keys). A query that sees nothing (padding) gets equal weights instead of NaN.
    """
    import torch

    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min).unsqueeze(1)


def bidirectional(mask: Any, dtype: Any) -> Any:
    """Every token sees every token of its text, whatever the model was built for.

    Args:
        mask: Shape (rows, length), 1 for tokens, 0 for padding.
        dtype: The model's.
    """
    keys = mask.bool().unsqueeze(1)
    return additive(keys.expand(-1, mask.shape[1], -1), dtype)
