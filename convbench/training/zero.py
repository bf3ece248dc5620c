"""The optimizer's state shared out by DeepSpeed (ZeRO stages 1 and 2), as accelerate's launcher asks for it.

Every process has the whole weights and, during an update, the whole mean gradients, as without DeepSpeed: a batch is read in chunks, each
of them twice, and processes have another number of chunks, so nothing can be exchanged while a batch is computed. The finished gradients,
clipped by their true length, then go to DeepSpeed's engine, which gives each process its part of them and of AdamW's moments, moves that
part of the weights and gathers the rest. So stage 2 saves what stage 1 does, the moments; losses, gradients and updates are those of whole
processes. Stage 3 would gather each layer's weights in every pass, and processes with other chunks would wait for each other for ever:
FSDP2 (``training.sharding``) is what shares out weights here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from convbench.errors import ResourceError, UsageError
from convbench.training.schedule import Learner
from convbench.training.zero_asked import zero_stage

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module, Parameter
    from torch.optim import AdamW

_MOMENTS = ("exp_avg", "exp_avg_sq")

BUCKET = 50_000_000
"""Most numbers that are exchanged at once; DeepSpeed holds a buffer of this size."""


def with_zero(learner: Learner) -> Learner:
    """The learner with an optimizer whose state is shared out, where the launcher asks for that; else the learner itself.

    Raises:
        UsageError: The launcher wants what is not done here, or weights that are learnt are not in float32.
        ResourceError: DeepSpeed is not installed.
    """
    stage = zero_stage()
    if stage is None:
        return learner
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        raise UsageError(
            "accelerate is set to DeepSpeed, which shares out among several processes, and there is one: launch more, or without"
        )
    for name, weight in learner.model.named_parameters():
        if weight.requires_grad and weight.element_size() != 4:
            raise UsageError(f"with DeepSpeed what is learnt is in float32, and {name} is {weight.dtype}: set model.dtype to float32")
    made: Any = SharedOptimizer(learner.optimizer, stage)
    return replace(learner, optimizer=made)


class SharedOptimizer:
    """AdamW whose moments no process holds whole; to the training it looks like one that is whole.

    A weight that no process has a gradient for counts as one whose gradient is 0, as its part lies among those of others.

    Args:
        optimizer: AdamW over weights that are whole and the same in every process; it is DeepSpeed's from now on.
        stage: 1 or 2.

    Raises:
        ResourceError: DeepSpeed is not installed.
    """

    def __init__(self, optimizer: AdamW, stage: int) -> None:
        import torch

        self._groups = [list(group["params"]) for group in optimizer.param_groups]
        self._base = optimizer
        # DeepSpeed exchanges a weight's gradient as soon as any pass has one. It gets twins, which have one when all passes are done.
        self._twins = torch.nn.ParameterList(torch.nn.Parameter(weight.detach()) for weight in self._weights())
        twins = iter(self._twins)
        for group in optimizer.param_groups:
            group["params"] = [next(twins) for _ in group["params"]]
        self._engine = _engine(self._twins, optimizer, stage)
        self._zero: Any = self._engine.optimizer
        self._join()
        for part, weights in zip(self._parts(), self._groups, strict=True):
            if not torch.equal(part, _part(weights, part)):
                raise ResourceError("this version of DeepSpeed lays out weights in another order than 0.19: install that")

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """As of a whole AdamW: its settings, and the weights of the model."""
        pairs = zip(self._base.param_groups, self._groups, strict=True)
        return [{**group, "params": weights} for group, weights in pairs]

    def step(self) -> None:
        """Moves the weights along their gradients, which are the same in all processes."""
        import torch

        pairs = [(twin, weight.grad) for twin, weight in zip(self._twins, self._weights(), strict=True)]
        carried = [(twin * (0 if gradient is None else gradient)).sum() for twin, gradient in pairs]
        self._engine.backward(torch.stack(carried).sum())  # its gradients are those that are carried
        self._engine.step()
        self._join()

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        """Forgets gradients."""
        for weight in self._weights():
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        """As of a whole AdamW, in every process; all must call this."""
        numbers = iter(range(len(self._twins)))
        groups = [{**group, "params": [next(numbers) for _ in group["params"]]} for group in self.param_groups]
        state: dict[int, dict[str, Any]] = {}
        for flat, group, weights in zip(self._parts(), groups, self._groups, strict=True):
            if own := self._base.state.get(flat):
                moments = [_apart(_together(own[name]), weights) for name in _MOMENTS]
                for number, *each in zip(group["params"], *moments, strict=True):
                    step = own["step"].cpu().clone()  # of its own: AdamW counts each weight's on
                    state[number] = {"step": step, **dict(zip(_MOMENTS, each, strict=True))}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes the state of a whole AdamW, and the weights that the model has now."""
        import torch

        self._zero.refresh_fp32_params()
        made = state["state"]
        for flat, weights, group in zip(self._parts(), self._groups, state["param_groups"], strict=True):
            own = [made.get(number) for number in group["params"]]  # what nothing ever reached has no state
            if any(own):
                moments = {
                    name: [torch.zeros_like(weight) if each is None else each[name] for each, weight in zip(own, weights, strict=True)]
                    for name in _MOMENTS
                }
                step = torch.stack([each["step"] for each in own if each]).max()
                self._base.state[flat] = {"step": step.to(flat.device), **{name: _part(each, flat) for name, each in moments.items()}}
        for group, values in zip(self._base.param_groups, state["param_groups"], strict=True):
            group.update({name: value for name, value in values.items() if name != "params"})

    def _parts(self) -> list[Tensor]:
        """This process's part of the weights of each group, one after another, in float32: what AdamW moves."""
        return list(self._zero.single_partition_of_fp32_groups)

    def _weights(self) -> list[Parameter]:
        return [weight for group in self._groups for weight in group]

    def _join(self) -> None:
        """Weights and twins are the same numbers in the same place, wherever DeepSpeed put them."""
        for weight, twin in zip(self._weights(), self._twins, strict=True):
            weight.data = twin.data


def _part(tensors: Sequence[Tensor], like: Tensor) -> Tensor:
    """This process's part of tensors that are laid one after another and filled up with zeros."""
    import torch
    from torch import distributed

    whole = torch.cat([tensor.detach().flatten().to(like) for tensor in tensors])
    size = len(like)
    filled = torch.nn.functional.pad(whole, (0, size * distributed.get_world_size() - len(whole)))
    return filled[size * distributed.get_rank() :][:size].clone()


def _together(part: Tensor) -> Tensor:
    """The parts of all processes, one after another, on the CPU."""
    import torch
    from torch import distributed

    parts = [torch.empty_like(part) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, part.contiguous())
    return torch.cat([each.cpu() for each in parts])


def _apart(whole: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of the shapes of weights, whose numbers lie one after another."""
    import torch

    sizes = [weight.numel() for weight in weights]
    pieces = torch.split(whole[: sum(sizes)], sizes)
    return [piece.view(weight.shape).clone() for piece, weight in zip(pieces, weights, strict=True)]


def _engine(weights: Module, optimizer: AdamW, stage: int) -> Any:
    try:
        deepspeed: Any = import_module("deepspeed")
    except ImportError as error:
        raise ResourceError(f"the launcher asks for DeepSpeed, which cannot be imported ({error}): pip install deepspeed") from None
    values = {
        "train_micro_batch_size_per_gpu": 1,  # batches are the training's business
        "gradient_accumulation_steps": 1,
        "steps_per_print": 2**31,
        "zero_optimization": {"stage": stage, "overlap_comm": False, "reduce_bucket_size": BUCKET, "allgather_bucket_size": BUCKET},
    }
    engine, *_ = deepspeed.initialize(model=weights, optimizer=optimizer, config=values)
    return engine
