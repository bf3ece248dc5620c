"""How much memory a training needs in each process, from the model's configuration alone: an estimate, before anything is rented.

**Counted exactly**: weights, gradients and AdamW's two moments, tensor by tensor on torch's meta device, which has shapes and no numbers.
A plain run holds them whole. A sharded one (``training.sharding``) keeps a part of weights and moments, each tensor cut along its first
dimension, and during an update whole weights in the precision of computing and whole gradients besides, in float32 where that is bf16.
With DeepSpeed (``training.zero``) weights and gradients are whole, and a process has its part of the moments and of a copy of what is
learnt.

**Estimated**: what the backward pass needs of the largest chunk. With ``c`` bytes a number in the precision of computing, ``s`` in that of
the states between layers, hidden size ``d``, all query heads together ``q``, inner size ``f``, a layer keeps of each token

    c (4 q + m f + 4 d) + 8 d

bytes: queries, keys, values (repeated for the query heads, as attention with a mask of its own takes them) and attention's output, 4 q; of
a gated inner layer gate, its activation, what it gates and their product, m = 4, of a plain one input and output of the activation, m = 2;
of the two norms the normalised states before and after their scale, 4 d, and the states in float32, 2 x 4 d bytes. Low-rank matrices keep
of every linear layer that has them the input after dropout, its mask and what lies between the matrices: c (in + r) + in bytes. So the
chunk needs ``tokens x (layers x that + 2 d s)``, the last states and their gradient included. With gradient checkpointing each layer keeps
``d s`` a token and one layer at a time all of it: ``tokens x (layers x d s + that + 2 d s)``.

Masks of a packed chunk are ``tokens x longest row x (c a kind of layer + 9)`` bytes: the mask, what it is made of (booleans), and distances
(8). Logits exist for so many tokens as ``response_loss`` takes at once: ``tokens x vocabulary x (c + 8)`` bytes, in the precision of
computing, as log-probabilities in float32, and their gradient.

Not counted: what the GPU's driver and libraries take, fragments, buffers of the exchange between GPUs, a mixture of experts' routing.
Attention is taken to be fused (no scores are kept), as it is where the architecture has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from convbench.backends.calls import calling_transformers
from convbench.errors import DataError
from convbench.io.jsonl import read_json
from convbench.training.layer_sizes import LayerSizes, Tensors, kept_by_low_rank, linears, low_rank_matrices
from convbench.training.objectives.response import response_loss
from convbench.training.trainable import TrainableSettings

if TYPE_CHECKING:
    from torch.nn import Module

GIB = 2**30
LOGITS_AT_ONCE = int(inspect.signature(response_loss).parameters["chunk"].default)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The largest chunk that is held with a graph.

    Attributes:
        tokens: Its tokens, padding included.
        width: Its longest row, in tokens.
        predicted: Tokens of responses in it that are predicted.
    """

    tokens: int
    width: int
    predicted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one process needs, in bytes.

    Attributes:
        model: The model.
        processes: Among how many everything is shared out; 1: nothing is.
        zero: Whether DeepSpeed shares out what it can, and not FSDP2.
        parameters: Of the whole model, low-rank matrices included.
        learnt: Those of them that are tuned.
        weights: Weights between updates: all of them, or the process's part; with DeepSpeed its part of the copy besides.
        computing: Besides, during an update: sharded weights made whole, or copies of linear layers in lower precision.
        gradients: Of what is tuned, whole.
        moments: AdamW's two of every tuned parameter.
        masks: Which token sees which.
        logits: Of one piece of the response loss.
        kept: Activations of the chunk without gradient checkpointing.
        checkpointed: Activations of the chunk with it.
        checkpointing: Whether the training does it, so that ``checkpointed`` counts in the total and not ``kept``.
        chunk: The chunk.
    """

    model: str
    processes: int
    zero: bool
    parameters: int
    learnt: int
    weights: int
    computing: int
    gradients: int
    moments: int
    masks: int
    logits: int
    kept: int
    checkpointed: int
    checkpointing: bool
    chunk: Chunk

    @property
    def activations(self) -> int:
        """Those of the training."""
        return self.checkpointed if self.checkpointing else self.kept

    @property
    def total(self) -> int:
        """All that is held at the worst moment, a backward pass."""
        return self.weights + self.computing + self.gradients + self.moments + self.masks + self.logits + self.activations

    def as_json(self) -> dict[str, Any]:
        """Plain values, the total included."""
        return {**asdict(self), "total": self.total}

    def rows(self) -> list[tuple[str, str]]:
        """What it is made of, in GiB, for printing."""
        other = self.kept if self.checkpointing else self.checkpointed
        without = "without" if self.checkpointing else "with"
        sizes = {
            "weights": self.weights,
            "weights while computing": self.computing,
            "gradients": self.gradients,
            "AdamW's moments": self.moments,
            "activations": self.activations,
            "masks": self.masks,
            "logits": self.logits,
            "in all": self.total,
            f"{without} checkpointing": self.total - self.activations + other,
        }
        return [(name, f"{size / GIB:.3f}") for name, size in sizes.items()]


def described_model(path: Path, dtype: str | None = None) -> Module:
    """The decoder that a config.json describes, with its head, without weights.

    Args:
        path: The file.
        dtype: Name of a torch dtype; None: what the file names, or float32.

    Raises:
        MissingFileError: There is no such file.
        DataError: It describes no decoder that transformers knows.
    """
    import torch

    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("model_type"), str):
        raise DataError(path, "expected a model's config.json with its model_type")
    stored = dtype or values.get("dtype") or values.get("torch_dtype") or "float32"
    with calling_transformers(f"{path}: does not describe a decoder"), torch.device("meta"):
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.for_model(**values)
        model: Module = cast(Any, AutoModelForCausalLM).from_config(config, dtype=getattr(torch, stored))
    return model


def bare_model(model: Any) -> Module:
    """A loaded model's like, without weights and without what training put into it."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(model.dtype)
    try:
        with torch.device("meta"):
            bare: Any = type(model)(model.config)
    finally:
        torch.set_default_dtype(before)
    bare.tie_weights()
    own: Module = bare
    return own


def estimate_memory(
    model: Any,
    tuning: TrainableSettings,
    chunk: Chunk,
    *,
    name: str,
    precision: Literal["fp32", "bf16"],
    processes: int = 1,
    zero: bool = False,
) -> Memory:
    """Estimates what a process needs.

    Args:
        model: From ``described_model`` or ``bare_model``.
        tuning: How it is made trainable.
        chunk: The largest chunk.
        name: What the estimate calls the model.
        precision: Of the training.
        processes: Among how many the model is sharded; 1: it is whole in each.
        zero: It is whole in each all the same, and DeepSpeed shares out AdamW's state.
    """
    sharded, mixed = processes > 1 and not zero, precision == "bf16"
    own = [(tuple(weight.shape), weight.element_size()) for weight in model.parameters()]
    low_rank = low_rank_matrices(model, tuning.lora) if tuning.lora else []
    tensors, learnt = [*own, *low_rank], low_rank if tuning.lora else own
    parameters = _numbers(tensors)
    storing = next(model.parameters()).element_size()
    computing = 2 if mixed else storing
    states = computing if sharded else storing
    sizes = LayerSizes.of(model)
    layer = sizes.kept(computing)
    added = kept_by_low_rank(model, tuning.lora, computing) if tuning.lora else 0
    ends = 2 * sizes.hidden * states
    gathered = 2 * parameters if mixed else _bytes(tensors)
    part = 4 * -(-_numbers(learnt) // processes)
    copied = 2 * _numbers(_copied(model, low_rank)) if mixed else 0
    return Memory(
        model=name,
        processes=processes,
        zero=zero,
        parameters=parameters,
        learnt=_numbers(learnt),
        weights=_bytes(tensors) + part if zero else _bytes(tensors, processes),
        computing=gathered if sharded else copied,
        gradients=4 * _numbers(learnt) if sharded and mixed else _bytes(learnt),
        moments=2 * part if zero else 2 * _bytes(learnt, processes),
        masks=chunk.tokens * chunk.width * (sizes.kinds * computing + 9),
        logits=min(chunk.predicted, LOGITS_AT_ONCE) * sizes.vocabulary * (computing + 8),
        kept=chunk.tokens * (sizes.layers * layer + added + ends),
        checkpointed=chunk.tokens * (sizes.layers * sizes.hidden * states + layer + added // sizes.layers + ends),
        checkpointing=tuning.gradient_checkpointing,
        chunk=chunk,
    )


def _copied(model: Any, low_rank: Tensors) -> Iterator[tuple[tuple[int, ...], int]]:
    """The matrices of linear layers that are stored in float32: autocast makes copies of them."""
    weights = {id(each.weight): each.weight for each in linears(model).values()}
    yield from ((tuple(weight.shape), 4) for weight in weights.values() if weight.element_size() == 4)
    yield from low_rank


def _numbers(tensors: Iterable[tuple[tuple[int, ...], int]]) -> int:
    return sum(prod(shape) for shape, _ in tensors)


def _bytes(tensors: Tensors, processes: int = 1) -> int:
    """Bytes of tensors, or of the first process's part of each."""
    return sum(-(-shape[0] // processes) * prod(shape[1:]) * size for shape, size in tensors)
