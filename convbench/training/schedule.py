"""How many updates there are, which weights they move, and how far each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
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
        optimizer: AdamW over them, or what looks like one (``training.zero``).
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
    optimizer = AdamW(_groups(model, settings), lr=settings.learning_rate, fused=True)
    schedule = get_scheduler(_NAMES[settings.schedule], optimizer, settings.warmup_steps, steps)
    return Learner(model, optimizer, schedule)


def _groups(model: Module, settings: TrainSettings) -> list[dict[str, Any]]:
    """Parameters by rate and weight decay: norms' weights and biases are vectors and have none, all else is a matrix at least."""
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise UsageError("no weight of the model requires a gradient, so there is nothing to learn: unfreeze some, or add an adapter")
    for pattern in settings.rates:
        if not any(fnmatchcase(name, pattern) for name, _ in trainable):
            raise UsageError(f"rates: no weight that is learnt has a name like {pattern!r}; names are as {trainable[-1][0]}")
    groups: dict[tuple[float, float], list[Parameter]] = {}
    for name, parameter in trainable:
        rate = next((rate for pattern, rate in settings.rates.items() if fnmatchcase(name, pattern)), settings.learning_rate)
        decay = settings.weight_decay if parameter.ndim >= 2 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    ordered = sorted(groups.items(), key=lambda group: group[0][0] != settings.learning_rate)  # the first group's rate is what is logged
    return [{"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in ordered]
