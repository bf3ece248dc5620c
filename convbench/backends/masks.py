"""Which token sees which: masks from positions, so that padding, cached prefixes and branches need no cases of their own."""

from __future__ import annotations

from collections.abc import Mapping
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


def by_kind(visible: Any, distances: Any, windows: Mapping[str, int | None], dtype: Any, *, both_ways: bool = False) -> Any:
    """The mask of every kind of layer: one tensor, or a mapping where a model has kinds that see differently.

    Args:
        visible: Booleans, shape (rows, queries, keys).
        distances: How far each key stands before each query, of the same shape.
        windows: How far back each kind of layer looks: kind -> tokens, or None for all the way.
        dtype: The model's.
        both_ways: Whether keys stand after queries too: transformers' windows then reach one token further, on either side.
    """
    masks = {}
    for kind, window in windows.items():
        seen = visible
        if window is not None:
            seen = visible & (distances.abs() <= window) if both_ways else visible & (distances < window)
        masks[kind] = additive(seen, dtype)
    return masks if len(masks) > 1 else next(iter(masks.values()))


def bidirectional(mask: Any, windows: Mapping[str, int | None], dtype: Any) -> Any:
    """Every token sees every token of its text, as far as its layer looks, whatever the model was built for.

    Args:
        mask: Shape (rows, length), 1 for tokens, 0 for padding.
        windows: How far each kind of layer looks.
        dtype: The model's.
    """
    positions = mask.cumsum(dim=1)
    visible = mask.bool().unsqueeze(1).expand(-1, mask.shape[1], -1)
    return by_kind(visible, positions.unsqueeze(2) - positions.unsqueeze(1), windows, dtype, both_ways=True)
