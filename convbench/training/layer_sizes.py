"""What a configuration says of a model's layers: their sizes, the linear ones in them, and what the backward pass keeps of a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from convbench.training.adapting import LoraSettings

if TYPE_CHECKING:
    from torch.nn import Linear, Module

Tensors: TypeAlias = "list[tuple[tuple[int, ...], int]]"
"""Shape and bytes a number of each."""


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """What a configuration says of a layer.

    Attributes:
        hidden: Hidden size.
        queries: All query heads together.
        inner: Size of the inner layer.
        gated: Whether it is gated: widened twice.
        layers: How many layers there are.
        kinds: Kinds of layers that see differently, each with a mask of its own.
        vocabulary: Tokens.
    """

    hidden: int
    queries: int
    inner: int
    gated: bool
    layers: int
    kinds: int
    vocabulary: int

    @classmethod
    def of(cls, model: Any) -> LayerSizes:
        """Those of a model with or without weights."""
        config = model.config.get_text_config()
        hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
        inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
        layers = int(config.num_hidden_layers)
        widening = sum(each.out_features == inner for each in linears(model.base_model).values())
        return cls(
            hidden=hidden,
            queries=heads * int(getattr(config, "head_dim", None) or hidden // heads),
            inner=inner,
            gated=widening >= 2 * layers,
            layers=layers,
            kinds=len(set(getattr(config, "layer_types", None) or [""])),
            vocabulary=int(config.vocab_size),
        )

    def kept(self, computing: int) -> int:
        """Bytes that one layer keeps of a token, where a number of the precision of computing has so many; see ``training.memory``."""
        inner = (4 if self.gated else 2) * self.inner
        return computing * (4 * self.queries + inner + 4 * self.hidden) + 8 * self.hidden


def linears(module: Module) -> dict[str, Linear]:
    """A module's linear layers, by name."""
    import torch

    return {name: each for name, each in module.named_modules() if isinstance(each, torch.nn.Linear)}


def adapted_layers(model: Any, lora: LoraSettings) -> list[Linear]:
    """The linear layers that get low-rank matrices, as ``adapting.adapted`` chooses them."""
    if not lora.targets:
        return list(linears(model.base_model).values())
    ends = tuple(f".{target}" for target in lora.targets)
    return [each for name, each in linears(model).items() if name in lora.targets or name.endswith(ends)]


def kept_by_low_rank(model: Any, lora: LoraSettings, computing: int) -> int:
    """Bytes that low-rank matrices keep of a token, in all layers together."""
    return sum(computing * (each.in_features + lora.r) + each.in_features for each in adapted_layers(model, lora))


def low_rank_matrices(model: Any, lora: LoraSettings) -> Tensors:
    """The two matrices of every adapted layer, which peft keeps in float32."""
    pairs = [((lora.r, each.in_features), (each.out_features, lora.r)) for each in adapted_layers(model, lora)]
    return [(shape, 4) for pair in pairs for shape in pair]
