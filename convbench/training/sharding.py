"""Weights, gradients and optimizer that no process holds whole: FSDP2 (torch's ``fully_shard``), as accelerate's launcher asks for it.

Each process keeps its part of every weight and of the optimizer's state. For one update all parts are gathered, layer by layer; each
process computes with whole weights, and at the end gets its part of the mean gradient. So memory must hold the whole weights, in the
precision of computing, and whole gradients of what is learnt. Weights are not freed between layers (``reshard_after_forward``): every pass
of every process would then have to wait for one of all others, and processes whose shares of a batch make another number of chunks, or feed
other objectives, would wait for ever.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from convbench.errors import UsageError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor
    from torch.distributed.fsdp import FSDPModule
    from torch.nn import Module

Key = TypeVar("Key", bound=Hashable)


def wants_sharding(accelerator: Accelerator) -> bool:
    """Whether the launcher asks for sharded weights.

    Raises:
        UsageError: It asks for what is not done here.
    """
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin, parse_flag_from_env

    if accelerator.distributed_type == DistributedType.FSDP:
        plugin = accelerator.state.fsdp_plugin
    elif accelerator.distributed_type == DistributedType.MULTI_CPU and parse_flag_from_env("ACCELERATE_USE_FSDP"):
        plugin = FullyShardedDataParallelPlugin()  # accelerate passes over it on the CPU
    else:
        return False
    check_plugin(plugin)
    return True


def shard(module: Module, accelerator: Accelerator) -> None:
    """Leaves each process its part of the module's weights, in place: they are DTensors afterwards, but within ``whole_weights``.

    Layers are gathered one by one, and all else with the module itself; a weight that is tied stays one. All processes must have the same
    weights before.

    Args:
        module: What everything computed goes through: ``module(work)`` gives what ``work()`` gives (``Trainable.module``). Anywhere.
        accelerator: Its device takes the parts. With bf16, whole weights are bfloat16, parts and sums of gradients are not.

    Raises:
        UsageError: Weights are shared between layers.
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    policy = MixedPrecisionPolicy(cast_forward_inputs=False)
    if accelerator.mixed_precision == "bf16":
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for unit in (*_layers(module), module):
        fully_shard(unit, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    try:
        module(partial(_zero, ()))  # the outermost unit is the first that is called, whatever a step begins with
    except ValueError as error:
        raise UsageError(f"the weights cannot be sharded: {str(error).splitlines()[0]}") from error
    reshard(module)


def is_sharded(module: Module) -> bool:
    """Whether ``shard`` was called with it."""
    return bool(_units(module))


@contextmanager
def whole_weights(module: Module, accelerator: Accelerator) -> Iterator[None]:
    """Gathers all weights for a block of forward and backward passes of any number, and then the mean gradients over processes.

    Afterwards each process has its part of the weights and of the gradients. A weight that got no gradient in one process counts as 0
    there; one that got none anywhere has none. All processes take part.
    """
    import torch

    for unit in _units(module):
        unit.set_requires_gradient_sync(False, recurse=False)
        unit.set_reshard_after_backward(False, recurse=False)
        unit.unshard()
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    reached: set[int] = set()
    hooks: list[Any] = []
    for weight in weights:
        hooks.append(weight.register_post_accumulate_grad_hook(lambda weight: reached.add(id(weight))))  # type: ignore[no-untyped-call]
    yield
    for hook in hooks:
        hook.remove()
    own = torch.tensor([float(id(weight) in reached) for weight in weights], device=accelerator.device)
    anywhere = accelerator.reduce(own, "sum").tolist()
    missing = [weight for weight, count in zip(weights, anywhere, strict=True) if count and id(weight) not in reached]
    for unit in _units(module):
        unit.set_requires_gradient_sync(True, recurse=False)
        unit.set_reshard_after_backward(True, recurse=False)
    module(partial(_zero, missing)).backward()  # as it ends, every unit's gradients are exchanged, whatever the pass was of


def reshard(module: Module) -> None:
    """Frees whole weights, which an evaluation may have left."""
    for unit in _units(module):
        unit.reshard()


def full_state(module: Module, accelerator: Accelerator) -> dict[str, Tensor]:
    """A module's state: weights and buffers, whole.

    Args:
        module: Sharded or not, or a part of a sharded one.
        accelerator: The process and its fellows; where the module is sharded, all of them take part.

    Returns:
        Name -> tensor, as ``module.state_dict()``; tied ones under each name. Where it is sharded: copies on the CPU in the first process,
        and nothing in the others. Else the module's own tensors.
    """
    if not is_sharded(module):
        return dict(module.state_dict())
    reshard(module)
    return whole(module.state_dict(keep_vars=True), accelerator)


def whole(tensors: Mapping[Key, Tensor], accelerator: Accelerator) -> dict[Key, Tensor]:
    """Tensors on the CPU, in the first process; parts of sharded ones are gathered, for which all processes must take part."""
    found: dict[Key, Tensor] = {}
    copies: dict[int, Tensor] = {}
    for name, tensor in tensors.items():
        if id(tensor) not in copies:
            own: Any = tensor.detach()
            gathered = own.full_tensor() if is_part(own) else own
            copies[id(tensor)] = gathered.cpu() if accelerator.is_main_process else tensor
        if accelerator.is_main_process:
            found[name] = copies[id(tensor)]
    return found


def is_part(tensor: Tensor) -> bool:
    """Whether a tensor is this process's part of one (a DTensor)."""
    return hasattr(tensor, "full_tensor")


def part_of(stored: Tensor, own: Tensor) -> Tensor:
    """What this process keeps of a whole tensor: as much as of ``own``, which is all of it where nothing is sharded.

    Where something is, the first process's tensor counts, and all take part.
    """
    if not is_part(own):
        return stored
    from torch.distributed.tensor import distribute_tensor

    like: Any = own
    return distribute_tensor(stored.to(like.device), like.device_mesh, like.placements)


def check_plugin(plugin: Any) -> None:
    """Refuses what a launcher may ask for and would not get."""
    version = getattr(plugin, "fsdp_version", 1)  # older versions of accelerate know no other
    if version != 2:
        raise UsageError(f"accelerate is set to FSDP version {version}: set fsdp_version: 2 in its configuration")
    from torch.distributed.fsdp import CPUOffloadPolicy

    refused = {
        "fsdp_reshard_after_forward": (plugin.reshard_after_forward, "weights are gathered once an update"),
        "fsdp_cpu_ram_efficient_loading": (plugin.cpu_ram_efficient_loading, "every process loads the checkpoint"),
        "fsdp_offload_params": (isinstance(plugin.cpu_offload, CPUOffloadPolicy), "parts stay on their device"),
        "fsdp_activation_checkpointing": (plugin.activation_checkpointing, "gradient_checkpointing of the training is what does it"),
    }
    for name, (found, why) in refused.items():
        if found:
            raise UsageError(f"accelerate's {name} is true: set it to false in its configuration, as {why}")


def _layers(module: Module) -> list[Module]:
    """The members of lists of layers, as decoders have them; not those of lists within them."""
    from torch.nn import ModuleList

    found: list[str] = []
    for name, each in module.named_modules():
        if isinstance(each, ModuleList) and not any(name.startswith(f"{other}.") for other in found):
            found.append(name)
    layers = [layer for name in found for layer in module.get_submodule(name).children()]
    return [layer for layer in dict.fromkeys(layers) if next(layer.parameters(), None) is not None]


def _units(module: Module) -> list[FSDPModule]:
    """What is gathered at once, the outermost first."""
    import torch.distributed.fsdp as sharded

    kind = getattr(sharded, "FSDPModule", None)  # older versions of torch have none
    return [each for each in module.modules() if kind is not None and isinstance(each, kind)]


def _zero(weights: Sequence[Tensor]) -> Tensor:
    """A loss of 0 that gives these weights a gradient of 0; there is something to go back from without any, too."""
    import torch

    return torch.stack([torch.zeros((), requires_grad=True), *(0 * weight.sum().float().cpu() for weight in weights)]).sum()
