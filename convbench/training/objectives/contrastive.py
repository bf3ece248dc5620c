"""InfoNCE: tell the right candidate from the others. The formula that retrieval and identification share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def contrastive_loss(anchors: Tensor, candidates: Tensor, positives: Tensor, *, allowed: Tensor | None, temperature: float) -> Tensor:
    """``-log(exp(a·c+ / t) / sum over allowed c of exp(a·c / t))``, mean over the anchors (UniConv, Mo et al. 2025; t is ``tau`` there).

    Computed in float32 whatever the vectors are and inside autocast too: at a temperature of 0.01 the rounding of a bfloat16 product
    alone moves a score by 0.4.

    Args:
        anchors: Shape (n, d); of length 1 where the profile normalises, which is the caller's business.
        candidates: Shape (m, d).
        positives: Shape (n,), the row of each anchor's right candidate.
        allowed: Booleans, shape (n, m): what stands in the denominator; None: everything. The right candidate always does.
        temperature: Above 0.

    Returns:
        A scalar in float32; 0, with a graph, where there is no anchor, so that processes can still exchange gradients.
    """
    import torch

    if len(anchors) == 0:
        return (anchors.sum() + candidates.sum()).float() * 0.0
    with torch.autocast(anchors.device.type, enabled=False):
        scores = anchors.float() @ candidates.float().T / temperature
    if allowed is not None:
        counted = allowed.to(scores.device).scatter(1, positives.unsqueeze(1), True)
        scores = scores.masked_fill(~counted, -torch.inf)
    return torch.nn.functional.cross_entropy(scores, positives)


def matches(right: Sequence[Collection[str]], candidates: Sequence[str]) -> Tensor:
    """Which candidates are right for which anchor.

    Args:
        right: For each anchor the names of all that is right for it.
        candidates: A name each.

    Returns:
        Booleans on the CPU, shape (anchors, candidates).
    """
    import torch

    found = torch.zeros(len(right), len(candidates), dtype=torch.bool)
    rows: dict[str, list[int]] = {}
    for column, name in enumerate(candidates):
        rows.setdefault(name, []).append(column)
    for row, names in enumerate(right):
        for name in names:
            found[row, rows.get(name, [])] = True
    return found
