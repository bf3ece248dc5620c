"""Contrastive batches of any size in the memory of a few texts: GradCache (Gao et al. 2021).

A contrastive loss needs all vectors of a batch at once, but of each vector only its gradient is needed to go on backwards. So the vectors
are first computed chunk by chunk without a graph, then the loss and its gradients with respect to the vectors, then each chunk a second
time, with a graph that is thrown away when the chunk's gradients are in the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Chunk = TypeVar("Chunk")


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a chunk gives.

    Attributes:
        vectors: Kind of vector (such as sessions and passages) -> vectors, shape (n, d). A chunk need not have every kind.
        own: Computes what the chunk adds to the loss on its own, such as its responses' loss, weighted; None: nothing. Asked for once, in
            the pass that has a graph.
    """

    vectors: Mapping[str, Tensor]
    own: Callable[[], Tensor] | None = None


def backward_in_chunks(
    chunks: Sequence[Chunk],
    encode: Callable[[Chunk], Encoded],
    loss: Callable[[Mapping[str, Tensor]], Tensor],
    *,
    backward: Callable[[Tensor], Any] | None = None,
    apart: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Tensor:
    """Adds to the weights' gradients those of ``loss(all vectors) + sum of the chunks' own losses``.

    Every chunk is encoded twice with the same random numbers, so dropout is the same, and the gradients are those of one graph over all
    chunks. A single chunk is encoded once. Where processes share a model or gather vectors, each must have as many chunks.

    Args:
        chunks: The batch in parts, at least one.
        encode: Runs the model on a part, in the order given and once more in the same order.
        loss: From all vectors of each kind, in the order of the chunks, to a scalar. Called once.
        backward: Takes the backward pass from a scalar, as ``accelerator.backward``; None: ``Tensor.backward``.
        apart: Entered for all chunks but the last, such as ``partial(accelerator.no_sync, model)``: gradients are exchanged once a batch.

    Returns:
        The loss, a scalar without a graph.
    """
    import torch

    back = backward or torch.Tensor.backward
    if len(chunks) == 1:
        return _at_once(encode(chunks[0]), loss, back)
    states, parts = [], []
    for chunk in chunks:
        states.append(_random_state())
        with torch.no_grad():
            parts.append(encode(chunk).vectors)
    torch.clear_autocast_cache()  # under autocast, weights that some versions of torch cast without a graph would get no gradient
    total, gradients = _vector_gradients(parts, loss)
    for number, (chunk, state, wanted) in enumerate(zip(chunks, states, gradients, strict=True)):
        with apart() if number < len(chunks) - 1 else nullcontext():
            _set_random_state(state)
            encoded = encode(chunk)
            own = encoded.own() if encoded.own else None
            carried = [(encoded.vectors[kind] * gradient).sum() for kind, gradient in wanted.items()]
            back(torch.stack([*carried, *([] if own is None else [own])]).sum())
        total = total if own is None else total + own.detach()
    return total


def _at_once(encoded: Encoded, loss: Callable[[Mapping[str, Tensor]], Tensor], back: Callable[[Tensor], Any]) -> Tensor:
    own = encoded.own() if encoded.own else None
    total = loss(encoded.vectors)
    total = total if own is None else total + own
    back(total)
    return total.detach()


def _vector_gradients(
    parts: Sequence[Mapping[str, Tensor]], loss: Callable[[Mapping[str, Tensor]], Tensor]
) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """The loss over all vectors, and its gradient with respect to those of each chunk, kind by kind."""
    import torch

    kinds = dict.fromkeys(kind for part in parts for kind in part)
    whole = {kind: torch.cat([part[kind] for part in parts if kind in part]).requires_grad_() for kind in kinds}
    total = loss(whole)
    found = torch.autograd.grad(total, list(whole.values()), allow_unused=True, materialize_grads=True)
    gradients: list[dict[str, Tensor]] = [{} for _ in parts]
    for kind, gradient in zip(kinds, found, strict=True):
        holders = [number for number, part in enumerate(parts) if kind in part]
        for number, share in zip(holders, torch.split(gradient, [len(parts[number][kind]) for number in holders]), strict=True):
            gradients[number][kind] = share
    return total.detach(), gradients


def _random_state() -> tuple[str | None, Tensor, Tensor | None]:
    """The random numbers to come, of the CPU and of the device that this process computes on."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None
    return device, torch.get_rng_state(), getattr(torch, device).get_rng_state() if device else None


def _set_random_state(state: tuple[str | None, Tensor, Tensor | None]) -> None:
    import torch

    device, cpu, own = state
    torch.set_rng_state(cpu)
    if device:
        getattr(torch, device).set_rng_state(own)
