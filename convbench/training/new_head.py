"""A new head that writes, for a checkpoint that was never trained to: an encoder that is to become a unified model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convbench.backends.checkpoint import open_checkpoint
from convbench.backends.known import profile_of
from convbench.backends.loaded import Loaded
from convbench.backends.placement import ModelConfig
from convbench.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def without_head(model: ModelConfig, *, offline: bool) -> ModelConfig:
    """How to load a checkpoint whose own head is not used: no weight of it has to be there."""
    checkpoint = open_checkpoint(model.model, offline=offline, revision=model.revision)
    profile, _ = profile_of(checkpoint, model.profile)
    values = {**profile.model_dump(), "lm_head": "embeddings", "responds": True}
    return model.model_copy(update={"profile": values})


def with_new_head(loaded: Loaded) -> Loaded:
    """Gives a model the head of its architecture, in place; what is new in it needs training before it writes anything.

    Of new linear layers every weight is that of the identity, where it is square, else drawn from the architecture's normal distribution:
    at the start, the next word is then guessed by how near the last hidden state is to its embedding, from where a small model on little
    data gets further than from a random layer. Logits stay tied to the input embeddings where the architecture ties them.

    Args:
        loaded: The checkpoint, loaded ``without_head``.

    Returns:
        The same model, with a profile that says that it has a head.

    Raises:
        UsageError: The architecture has none.
    """
    import torch

    model = loaded.model
    with torch.device("meta"):
        fresh: Any = type(model)(model.config)
    names = [name for name, part in fresh.named_children() if part is not fresh.base_model]
    if len(names) != 1:
        raise UsageError(f"{loaded.checkpoint.label}: {type(model).__name__} has {len(names)} parts beside its body, expected one head")
    head = getattr(fresh, names[0]).to_empty(device=loaded.device).to(loaded.torch_dtype)
    _begin(head, float(getattr(model.config, "initializer_range", 0.02)))
    setattr(model, names[0], head)
    model.tie_weights()
    profile = loaded.profile.model_copy(update={"lm_head": "checkpoint"})
    return replace(loaded, profile=profile)


def _begin(head: Module, spread: float) -> None:
    """First values: scales 1, shifts 0, square matrices the identity, others small random numbers."""
    import torch

    def first(name: str, weight: Tensor) -> None:
        if weight.ndim < 2:
            torch.nn.init.constant_(weight, 1.0 if name.endswith("weight") else 0.0)
        elif weight.shape[0] == weight.shape[1]:
            torch.nn.init.eye_(weight)
        else:
            torch.nn.init.normal_(weight, std=spread)

    for name, weight in head.named_parameters():
        first(name, weight)
