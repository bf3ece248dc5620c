"""The gradients of one update: the batches' own, averaged over batches and processes, and what the losses were."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from convbench.training.data.sampling import Unit
from convbench.training.processes import averaged_gradients, gathered_objects, share
from convbench.training.schedule import Learner
from convbench.training.sharding import is_part

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

TOTAL = "total"


class Values(Protocol):
    """What a batch came to."""

    @property
    def losses(self) -> Mapping[str, float]:
        """Objective -> its loss before it is weighted, of those that are computed, and ``total``: their weighted sum.

        The mean over processes is the batch's loss.
        """

    @property
    def tokens(self) -> int:
        """Tokens that were read, without padding."""

    @property
    def ids(self) -> Sequence[str]:
        """The examples' ids."""


class Step(Protocol):
    """What turns a batch into gradients."""

    def backward(self, units: Sequence[Unit], backward: Callable[[Tensor], None]) -> Values:
        """Computes the weighted loss of some units and takes its gradients.

        Args:
            units: The process's share of a batch; turns, or the turns of conversations.
            backward: Takes the backward pass from a scalar; may be called several times, and the gradients add up.
        """


@dataclass(frozen=True, slots=True)
class Gradients:
    """What stands in the weights' ``grad`` now.

    Attributes:
        losses: Objective -> mean over the batches that feed it.
        total: The weighted sum, mean over all batches.
        norm: L2 norm of the gradients before they were clipped.
        tokens: Of all batches and processes.
        ids: The examples'.
    """

    losses: Mapping[str, float]
    total: float
    norm: float
    tokens: int
    ids: tuple[str, ...]

    @property
    def wrong(self) -> str | None:
        """Names what is NaN or infinite; None where all is well."""
        for name, loss in {**self.losses, "total": self.total}.items():
            if not math.isfinite(loss):
                return f"the {name} loss is {loss}"
        return None if math.isfinite(self.norm) else f"the norm of the gradients is {self.norm}"


def gradients(
    step: Step,
    batches: Sequence[Sequence[Unit]],
    learner: Learner,
    *,
    max_norm: float | None,
    accelerator: Accelerator,
) -> Gradients:
    """Takes the gradients of some batches and clips them.

    Args:
        step: Computes losses.
        batches: What one update learns from; every process is given all of it and takes its share.
        learner: Has the model, whose weights have no gradients yet.
        max_norm: Longest gradient; None: any.
        accelerator: The process and its fellows.
    """
    import torch

    with averaged_gradients(learner.model, accelerator):
        own = [_backward(step, share(batch, accelerator), len(batches), accelerator) for batch in batches]
    norm: Any = torch.nn.utils.clip_grad_norm_(learner.trainable(), math.inf if max_norm is None else max_norm)
    if is_part(norm):
        norm = norm.full_tensor()
    everyone = gathered_objects([(dict(values.losses), values.tokens, tuple(values.ids)) for values in own], accelerator)
    found = [_of_all([losses for losses, _, _ in everyone[number :: len(batches)]]) for number in range(len(batches))]
    names = dict.fromkeys(name for losses in found for name in losses if name != TOTAL)
    return Gradients(
        losses={name: _mean([losses[name] for losses in found if name in losses]) for name in names},
        total=_mean([losses[TOTAL] for losses in found]),
        norm=float(norm),
        tokens=sum(tokens for _, tokens, _ in everyone),
        ids=tuple(id_ for _, _, ids in everyone for id_ in ids),
    )


def _backward(step: Step, units: Sequence[Unit], parts: int, accelerator: Accelerator) -> Values:
    import torch

    def backward(loss: Tensor) -> None:
        with torch.autocast(accelerator.device.type, enabled=False):  # it goes by the types of the forward pass
            accelerator.backward(loss / parts)

    with accelerator.autocast():
        return step.backward(units, backward)


def _of_all(shares: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The losses of a batch from those of its shares, one a process: their mean, 0 where a process did not compute one."""
    names = dict.fromkeys(name for losses in shares for name in losses)
    return {name: _mean([losses.get(name, 0.0) for losses in shares]) for name in names}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
