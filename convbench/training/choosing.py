"""The objectives in which vectors of a batch choose among others: sessions among passages, contexts among responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from convbench.training.batch import Batch, Candidates
from convbench.training.objectives.gathering import gathered, gathered_names, repeated
from convbench.training.objectives.identification import identification_loss, same_responses
from convbench.training.objectives.retrieval import false_negatives, retrieval_loss
from convbench.training.objectives.weighted import Loss, Weights, weighted_loss

if TYPE_CHECKING:
    from torch import Tensor


def choosing_loss(batch: Batch, weights: Weights, temperature: float, vectors: Mapping[str, Tensor], counts: Mapping[str, float]) -> Loss:
    """``L_R`` and ``L_CII``, as far as they have a weight and the batch feeds them.

    With several processes the mean of what they get is the loss of one process with the whole batch: an input that two of them hold is one
    candidate, and each counts by how many of the anchors are its own.

    Args:
        batch: The batch; it feeds one of them at least.
        weights: Of the objectives.
        temperature: ``tau``.
        vectors: Kind -> vectors in the order of their numbers, shape (n, d).
        counts: From ``average_counts``.
    """
    computed = {
        "retrieval": (batch.sessions, partial(_retrieval, batch, temperature, vectors, counts)),
        "identification": (batch.contexts, partial(_identification, batch, temperature, vectors, counts)),
    }
    return weighted_loss(weights, {name: compute for name, (anchors, compute) in computed.items() if anchors.positives})


def in_order(vectors: Mapping[str, Tensor], numbers: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Vectors in the order of their numbers.

    Args:
        vectors: Kind -> vectors, shape (n, d).
        numbers: Kind -> the number of each: 0 to n - 1 in any order.
    """
    import torch

    return {kind: each[torch.tensor(numbers[kind], device=each.device).argsort()] for kind, each in vectors.items()}


def _retrieval(batch: Batch, temperature: float, vectors: Mapping[str, Tensor], counts: Mapping[str, float]) -> Tensor:
    import torch

    passages, names = gathered(vectors["passages"]), gathered_names(batch.passages.names)
    allowed = ~(false_negatives(batch.sessions.right, None, names) | _again(batch.passages))
    positives = torch.tensor(batch.sessions.positives, device=passages.device)
    loss = retrieval_loss(vectors["sessions"], passages, positives, allowed=allowed, temperature=temperature)
    return loss * (len(positives) / counts["retrieval"])


def _identification(batch: Batch, temperature: float, vectors: Mapping[str, Tensor], counts: Mapping[str, float]) -> Tensor:
    import torch

    responses, names = gathered(vectors["responses"]), gathered_names(batch.responses.names)
    allowed = ~(same_responses(batch.contexts.right, names) | _again(batch.responses))
    positives = torch.tensor(batch.contexts.positives, device=responses.device)
    loss = identification_loss(vectors["contexts"], responses, positives, allowed=allowed, temperature=temperature)
    return loss * (len(positives) / counts["identification"])


def _again(candidates: Candidates) -> Tensor:
    """Which candidates of all processes came before, shape (1, candidates): a process alone has each input once."""
    import torch

    return torch.tensor([repeated(gathered_names(candidates.inputs()))])
