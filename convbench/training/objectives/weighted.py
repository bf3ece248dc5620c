"""``L = L_R + lambda L_G + alpha L_CII``: the weighted sum, and what each objective was."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict

from convbench.errors import UsageError
from convbench.registry import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each objective counts; 0 leaves it out.

    Attributes:
        retrieval: Of ``L_R``.
        response: Of ``L_G`` with the session mask, ``lambda``; ChatRetriever has 0.1 to 0.5.
        identification: Of ``L_CII``, ``alpha``.
        grounded: Of ``L_G`` with session and passages visible, as responses are written at inference. Not in the paper.

    Raises:
        UsageError: A weight is negative or no number, or all are 0.
    """

    retrieval: float = 1.0
    response: float
    identification: float
    grounded: float = 0.0

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")  # where it is part of a recipe

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            if not (math.isfinite(weight) and weight >= 0):
                raise UsageError(f"weight of the objective {name!r}: found {weight!r}, expected a number of at least 0; 0 leaves it out")
        if not any(asdict(self).values()):
            raise UsageError("all objectives have the weight 0, so there is nothing to train: give one of them a weight")


@dataclass(frozen=True, slots=True)
class Loss:
    """A batch's loss.

    Attributes:
        total: The weighted sum, a scalar with its graph.
        values: What each objective was before it was weighted; only those that were computed.
    """

    total: Tensor
    values: dict[str, float]


def weighted_loss(weights: Weights, objectives: Mapping[str, Callable[[], Tensor]]) -> Loss:
    """Computes the objectives that count and adds them up.

    Args:
        weights: How much each counts.
        objectives: Name of a weight -> computes the objective, a scalar. Those that the batch does not feed are left out.

    Raises:
        UsageError: An objective has no such name, or none of those given counts.
    """
    import torch

    known = asdict(weights)
    for name in objectives:
        if name not in known:
            raise UsageError(f"unknown objective {name!r}.{did_you_mean(name, list(known))} Known: {', '.join(known)}")
    computed = {name: compute() for name, compute in objectives.items() if known[name]}
    if not computed:
        raise UsageError(f"the batch feeds {', '.join(objectives) or 'no objective'}, and none of it has a weight above 0")
    total = torch.stack([known[name] * value for name, value in computed.items()]).sum()
    values = torch.stack([value.detach().float() for value in computed.values()]).tolist()  # one wait for the device, not one each
    return Loss(total, dict(zip(computed, values, strict=True)))
