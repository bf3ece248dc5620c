"""Negatives from other processes: their vectors, with gradients that find the way back, and their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from torch import Tensor

Own = TypeVar("Own")


def gathered(rows: Tensor) -> Tensor:
    """The rows of every process: this one's first, then the others' in order of rank.

    A row's gradient is the sum of what all processes' losses want of it, each process being told its own rows' part. With losses whose mean
    over processes is that of the whole batch, and gradients averaged over processes as data-parallel training does, this is the gradient of
    one process with the whole batch. Every process must call this, and take the backward pass through the result, equally often and in the
    same order. Numbers of rows may differ.

    Args:
        rows: Shape (n, d).

    Returns:
        Shape (rows of all processes, d); ``rows`` itself where there is one process.
    """
    import torch
    from torch import distributed

    if not _together():
        return rows
    rank = distributed.get_rank()
    sizes = _sizes(rows)
    parts = [torch.empty(max(sizes), *rows.shape[1:], dtype=rows.dtype, device=rows.device) for _ in sizes]
    distributed.all_gather(parts, _padded(rows.detach(), max(sizes)))
    others = [part[:size] for number, (part, size) in enumerate(zip(parts, sizes, strict=True)) if number != rank]
    everything: Any = torch.cat([rows, *others])

    # A hook and not torch.distributed.nn: that is deprecated, what replaces it is private, and both want rows in equal numbers.
    def summed(gradient: Tensor) -> Tensor:
        own, before, after = torch.split(gradient, [sizes[rank], sum(sizes[:rank]), sum(sizes[rank + 1 :])])
        by_rank = torch.cat([before, own, after])
        distributed.all_reduce(by_rank)
        before, own, after = torch.split(by_rank, [len(before), len(own), len(after)])
        return torch.cat([own, before, after])

    if everything.requires_grad:
        everything.register_hook(summed)
    return cast("Tensor", everything)


def gathered_names(names: Sequence[str]) -> list[str]:
    """The names of the rows that ``gathered`` returns, in the same order.

    Args:
        names: Of this process's rows: passage ids, or responses' texts.
    """
    from torch import distributed

    everyone = everywhere(list(names))
    own = everyone.pop(distributed.get_rank() if _together() else 0)
    return [*own, *(name for other in everyone for name in other)]


def everywhere(own: Own) -> list[Own]:
    """What every process has, in order of rank: something plain, such as names or counts. All must call this."""
    from torch import distributed

    if not _together():
        return [own]
    everyone: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(everyone, own)
    return everyone


def repeated(names: Sequence[str]) -> list[bool]:
    """Whether each name stands there before."""
    first: dict[str, int] = {}
    return [first.setdefault(name, place) != place for place, name in enumerate(names)]


def _together() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def _sizes(rows: Tensor) -> list[int]:
    """How many rows each process has."""
    import torch
    from torch import distributed

    own = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(sizes, own)
    return [int(size) for size in torch.cat(sizes).tolist()]


def _padded(rows: Tensor, length: int) -> Tensor:
    import torch

    return torch.cat([rows, rows.new_zeros(length - len(rows), *rows.shape[1:])]).contiguous()
