"""The objectives in which vectors of a batch choose among others: sessions among passages, contexts among responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from convbench.errors import UsageError
from convbench.training.batch import Batch
from convbench.training.objectives.gathering import gathered, gathered_names
from convbench.training.objectives.identification import identification_loss, same_responses
from convbench.training.objectives.retrieval import false_negatives, retrieval_loss
from convbench.training.objectives.weighted import Loss, Weights, weighted_loss

if TYPE_CHECKING:
    from torch import Tensor


def choosing_loss(batch: Batch, weights: Weights, temperature: float, vectors: Mapping[str, Tensor]) -> Loss:
    """``L_R`` and ``L_CII``, as far as they have a weight and the batch feeds them.

    Args:
        batch: The batch; it feeds one of them at least.
        weights: Of the objectives.
        temperature: ``tau``.
        vectors: Kind -> vectors in the order of their numbers, shape (n, d).
    """
    computed = {
        "retrieval": (batch.sessions, partial(_retrieval, batch, temperature, vectors)),
        "identification": (batch.contexts, partial(_identification, batch, temperature, vectors)),
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


def check_same_everywhere(batch: Batch) -> None:
    """Raises ``UsageError`` where processes have different objectives of these to compute: they would wait for each other for ever."""
    own = "+".join(name for name in batch.feeds if name in ("retrieval", "identification"))
    every = gathered_names([own])
    if len(set(every)) > 1:
        raise UsageError(
            f"processes were given batches that feed different contrastive objectives: {', '.join(each or 'none' for each in every)}; "
            "use larger batches, or sources that all feed the same objectives"
        )


def _retrieval(batch: Batch, temperature: float, vectors: Mapping[str, Tensor]) -> Tensor:
    import torch

    passages, names = gathered(vectors["passages"]), gathered_names(batch.passages.names)
    allowed = ~false_negatives(batch.sessions.right, None, names)
    positives = torch.tensor(batch.sessions.positives, device=passages.device)
    return retrieval_loss(vectors["sessions"], passages, positives, allowed=allowed, temperature=temperature)


def _identification(batch: Batch, temperature: float, vectors: Mapping[str, Tensor]) -> Tensor:
    import torch

    responses, names = gathered(vectors["responses"]), gathered_names(batch.responses.names)
    allowed = ~same_responses(batch.contexts.right, names)
    positives = torch.tensor(batch.contexts.positives, device=responses.device)
    return identification_loss(vectors["contexts"], responses, positives, allowed=allowed, temperature=temperature)
