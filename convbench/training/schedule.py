"""How many updates there are, which weights they move, and how far each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convbench.errors import UsageError
from convbench.training.data.sampling import Pool, batches
from convbench.training.train_settings import TrainSettings

if TYPE_CHECKING:
    from torch.nn import Module, Parameter
    from torch.optim import AdamW
    from torch.optim.lr_scheduler import LRScheduler

_NAMES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}  # as transformers calls them


@dataclass(frozen=True, slots=True)
class Learner:
    """A model with what moves its weights.

    Attributes:
        model: The model; those of its parameters that require gradients are learnt.
        optimizer: AdamW over them.
        schedule: Sets the optimizer's learning rate.
    """

    model: Module
    optimizer: AdamW
    schedule: LRScheduler

    def trainable(self) -> list[Parameter]:
        """What is learnt."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @property
    def learning_rate(self) -> float:
        """What the next update uses."""
        return float(self.optimizer.param_groups[0]["lr"])

    def update(self) -> None:
        """Moves the weights along their gradients, which are empty afterwards."""
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)


def total_steps(settings: TrainSettings, pools: Sequence[Pool]) -> int:
    """Updates of a whole training.

    Epochs are counted on the stream itself: conversations do not fill every batch.

    Raises:
        UsageError: There is nothing to draw, or a unit is longer than a batch.
    """
    if settings.steps is not None:
        return settings.steps
    wanted = (settings.epochs or 0) * sum(len(unit) for pool in pools for unit in pool.units)
    drawn = number = 0
    for number, batch in enumerate(batches(pools, settings.seed, settings.batch_size), start=1):  # noqa: B007 - used below
        drawn += sum(map(len, batch))
        if drawn >= wanted:
            break
    return -(-number // settings.gradient_accumulation)


def learner(model: Module, settings: TrainSettings, steps: int) -> Learner:
    """AdamW with its schedule for a model.

    Args:
        model: The model, on its device.
        settings: Learning rate, schedule, warm-up and weight decay.
        steps: Updates of the whole training.

    Raises:
        UsageError: The model has nothing to learn, or warm-up takes all steps.
    """
    from torch.optim import AdamW
    from transformers import get_scheduler

    if settings.warmup_steps >= steps:
        raise UsageError(f"warmup_steps {settings.warmup_steps} of {steps} steps: expected fewer, so that something is learnt at full rate")
    optimizer = AdamW(_groups(model, settings.weight_decay), lr=settings.learning_rate)
    schedule = get_scheduler(_NAMES[settings.schedule], optimizer, settings.warmup_steps, steps)
    return Learner(model, optimizer, schedule)


def _groups(model: Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with weight decay and without: norms' weights and biases are vectors, all else is a matrix at least."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise UsageError("no weight of the model requires a gradient, so there is nothing to learn: unfreeze some, or add an adapter")
    groups = [
        {"params": [parameter for parameter in trainable if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trainable if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
