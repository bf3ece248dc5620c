"""``L_G``: the likelihood of a response, with logits at its own places only and never all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def response_loss(
    hidden: Tensor,
    targets: Tensor,
    head: Callable[[Tensor], Tensor],
    *,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    chunk: int = 1024,
) -> Tensor:
    """Cross entropy of the responses' tokens, ``L_G`` of UniConv (Mo et al. 2025), whatever branch they were read in.

    Logits exist for ``chunk`` tokens at a time: each chunk's are thrown away and computed again in the backward pass.

    Args:
        hidden: Hidden states at the places that predict a response's tokens, all responses one after another, shape (k, d).
        targets: The tokens, shape (k,).
        head: From hidden states, shape (c, d), to logits, shape (c, vocabulary), with all that the model does to them.
        weights: What each token counts, shape (k,): ``per_token`` or ``per_response``; None: their mean.
        label_smoothing: Share of the target that is spread evenly over the vocabulary; ChatRetriever has 0.1.
        chunk: Tokens whose logits exist together.

    Returns:
        A scalar in float32; 0, with a graph, where there is no token.
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    shares = (per_token([len(targets)]) if weights is None else weights).to(hidden.device)
    entropy = partial(_weighted_entropy, head, label_smoothing)
    pieces = list(zip(*(torch.split(each, chunk) for each in (hidden, targets, shares)), strict=True))
    if len(pieces) == 1:
        return entropy(*pieces[0])  # nothing is gained by computing the only chunk twice
    total: Tensor = sum((checkpoint(entropy, *piece, use_reentrant=False) for piece in pieces), start=hidden.new_zeros(()).float())
    return total


def per_token(lengths: Sequence[int], tokens: float | None = None) -> Tensor:
    """Weights with which every token counts the same, as in the parent system's code.

    Args:
        lengths: Of the responses, in tokens.
        tokens: Among how many the mean is taken: those of the whole batch, where these are part of it, or a process's share of them on
            average; None: these.

    Returns:
        Shape (tokens,), float32.
    """
    import torch

    over = sum(lengths) if tokens is None else tokens
    return torch.full((sum(lengths),), 1 / over if over else 0.0)


def per_response(lengths: Sequence[int], responses: int | None = None) -> Tensor:
    """Weights with which every response counts the same, however long.

    Args:
        lengths: Of the responses, in tokens.
        responses: Among how many the mean is taken; None: these. One without tokens counts as a loss of 0.

    Returns:
        Shape (tokens,), float32.
    """
    import torch

    sizes = torch.tensor(lengths, dtype=torch.long)
    each = 1 / (sizes.clamp(min=1) * max(len(lengths) if responses is None else responses, 1))
    return each.repeat_interleave(sizes)


def _weighted_entropy(head: Callable[[Tensor], Tensor], label_smoothing: float, hidden: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    import torch

    entropies = torch.nn.functional.cross_entropy(head(hidden).float(), targets, reduction="none", label_smoothing=label_smoothing)
    return (entropies * weights).sum()
