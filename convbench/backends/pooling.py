"""From the hidden states of tokens to one vector a text."""

from __future__ import annotations

from typing import Any, Literal

Pooling = Literal["last", "cls", "mean"]


def pool(hidden: Any, mask: Any, pooling: Pooling) -> Any:
    """Pools hidden states.

    Args:
        hidden: Shape (texts, length, dim).
        mask: Shape (texts, length), 1 for the tokens to pool over. Padding may be on either side.
        pooling: ``last`` and ``cls`` take the last and the first of these tokens, ``mean`` their average.

    Returns:
        Shape (texts, dim).
    """
    import torch

    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)
    positions = torch.arange(mask.shape[1], device=mask.device)
    if pooling == "cls":
        chosen = torch.where(mask.bool(), positions, mask.shape[1]).argmin(dim=1)
    else:
        chosen = torch.where(mask.bool(), positions, -1).argmax(dim=1)
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), chosen]
