"""Several processes on one training: each takes its share of every batch, gradients are averaged, the first one writes.

Gradients are averaged here and not by ``DistributedDataParallel``: a step may run parts of the model by themselves and go backwards many
times (chunked gradients), which that wrapper does not see or sees too often. Where weights are sharded, ``training.sharding`` averages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from convbench.errors import ConvbenchError, UsageError
from convbench.training.sharding import is_sharded, shard, wants_sharding, whole_weights
from convbench.training.train_settings import TrainSettings
from convbench.training.zero_asked import ASKED, zero_stage

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch.nn import Module, Parameter

T = TypeVar("T")

_PATIENCE = timedelta(hours=12)  # the others wait while the first one evaluates


def open_accelerator(settings: TrainSettings) -> Accelerator:
    """The accelerator as the settings and its launcher want it. A process has one; a second call must want the same.

    Raises:
        UsageError: The launcher wants what is not done here, a batch cannot be shared out evenly, or another precision or device was opened
            in this process before.
    """
    from accelerate import Accelerator, InitProcessGroupKwargs
    from accelerate.utils import DistributedType

    zero_stage()  # what it cannot do is refused before anything is opened
    try:
        with _by_ourselves(ASKED):
            accelerator = Accelerator(
                cpu=settings.device == "cpu",
                mixed_precision="bf16" if settings.precision == "bf16" else "no",
                kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
            )
    except ValueError as error:  # of accelerate's state, of which a process has one; also what it cannot do on this machine
        raise UsageError(
            f"accelerate refuses precision {settings.precision} with device {settings.device}: {error} "
            "A process trains in one precision and on one kind of device; begin another for another."
        ) from None
    whole = {DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU}
    if not wants_sharding(accelerator) and accelerator.distributed_type not in whole:
        raise UsageError(
            f"accelerate is set to {accelerator.distributed_type.value}: expected whole models, one a process (MULTI_GPU or CPU), or FSDP"
        )
    if settings.batch_size % accelerator.num_processes:
        raise UsageError(f"batch_size {settings.batch_size} over {accelerator.num_processes} processes: expected a multiple of that number")
    return accelerator


@contextmanager
def _by_ourselves(variable: str) -> Iterator[None]:
    """Hides from accelerate what its launcher set: it would want DeepSpeed in every pass, and ``training.zero`` has it after them."""
    before = os.environ.pop(variable, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[variable] = before


def forget_accelerator() -> None:
    """Lets the next training of a process that has no fellows choose precision and device anew; accelerate keeps the first choice."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


def share(units: Sequence[T], accelerator: Accelerator) -> Sequence[T]:
    """This process's units of a batch: as many as the others', or one more.

    Raises:
        UsageError: There are fewer units than processes.
    """
    processes, rank = accelerator.num_processes, accelerator.process_index
    if len(units) < processes:
        raise UsageError(f"a batch of {len(units)} units for {processes} processes: expected one each at least; raise batch_size")
    return units[len(units) * rank // processes : len(units) * (rank + 1) // processes]


@contextmanager
def averaged_gradients(model: Module, accelerator: Accelerator) -> Iterator[None]:
    """A block of forward and backward passes, after which all processes have the mean of their gradients, or each its part of it.

    Where only some have a gradient, the others count as 0. Within the block the model computes with whole weights.
    """
    if is_sharded(model):
        with whole_weights(model, accelerator):
            yield
        return
    yield
    _average([weight for weight in model.parameters() if weight.requires_grad], accelerator)


def _average(parameters: Sequence[Parameter], accelerator: Accelerator) -> None:
    import torch

    if accelerator.num_processes == 1:
        return
    having = torch.tensor([float(parameter.grad is not None) for parameter in parameters], device=accelerator.device)
    for parameter, anyone in zip(parameters, accelerator.reduce(having, "sum").tolist(), strict=True):
        if anyone:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = accelerator.reduce(own.detach(), "mean")


def place(model: Module, accelerator: Accelerator) -> None:
    """Puts a model onto this process's device, or its part of it, with the first process's weights.

    New weights, an adapter's, may have been drawn differently.
    """
    if is_sharded(model):
        return
    if not wants_sharding(accelerator):
        model.to(accelerator.device)
    _same_weights(model, accelerator)
    if wants_sharding(accelerator):
        shard(model, accelerator)


def _same_weights(model: Module, accelerator: Accelerator) -> None:
    from accelerate.utils import broadcast

    if accelerator.num_processes > 1:
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data.copy_(broadcast(tensor.data.to(accelerator.device)))


def is_first() -> bool:
    """Whether this is the first process of those that a launcher started, or the only one: the one that speaks for all."""
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def gathered_objects(own: Sequence[T], accelerator: Accelerator) -> list[T]:
    """What all processes have, in order of rank."""
    from accelerate.utils import gather_object

    return list(own) if accelerator.num_processes == 1 else gather_object(list(own))


def on_first(work: Callable[[], T], accelerator: Accelerator) -> T:
    """Does something in the first process only; all get the result, or fail with its error.

    Raises:
        ConvbenchError: In the other processes, whatever the first one met.
    """
    from accelerate.utils import broadcast_object_list

    if accelerator.num_processes == 1:
        return work()
    shared: list[T | str | None] = [None, None]
    if not accelerator.is_main_process:
        broadcast_object_list(shared)
        if shared[1] is not None:
            raise ConvbenchError(f"the first process failed: {shared[1]}")
        return shared[0]  # type: ignore[return-value]
    try:
        result = work()
    except Exception as error:
        broadcast_object_list([None, f"{type(error).__name__}: {error}"])
        raise
    broadcast_object_list([result, None])
    return result
