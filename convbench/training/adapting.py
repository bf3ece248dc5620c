"""What training changes in a loaded model before the first step: low-rank matrices, dropout; and the head it writes with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import ConfigDict

from convbench.backends.loaded import Loaded
from convbench.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """Low-rank adaptation (Hu et al. 2022), by peft.

    Attributes:
        r: Rank.
        alpha: The matrices' product counts ``alpha / r``.
        dropout: Share of inputs that are dropped before them.
        targets: Names, or ends of names, of the linear layers that get them; empty: every linear layer of the body.
    """

    r: int = 16
    alpha: float = 32
    dropout: float = 0.05
    targets: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")  # where it is part of a recipe


def adapted(loaded: Loaded, settings: LoraSettings) -> Any:
    """Puts low-rank matrices into the model, in place; of its weights only they require gradients afterwards.

    Args:
        loaded: The checkpoint.
        settings: Which matrices.

    Returns:
        The ``PeftModel`` around ``loaded.model``.

    Raises:
        UsageError: peft cannot: no layer has such a name, or a number makes no sense.
    """
    from peft import LoraConfig, get_peft_model

    try:
        config = LoraConfig(
            r=settings.r,
            lora_alpha=cast(int, settings.alpha),
            lora_dropout=settings.dropout,
            target_modules=list(settings.targets) or _linear_layers(loaded),
        )
        return get_peft_model(loaded.model, config)
    except ValueError as error:
        raise UsageError(f"{loaded.checkpoint.label}: LoRA cannot be set up: {str(error).splitlines()[0]}") from error


def with_dropout(model: Any, share: float, adapter: Any) -> None:
    """Sets the dropout of every layer, but for that of low-rank matrices.

    Args:
        model: The model, changed in place.
        share: From 0 up to 1.
        adapter: The ``PeftModel`` around it, or None.

    Raises:
        UsageError: It is no such share.
    """
    import torch

    if not 0 <= share < 1:
        raise UsageError(f"dropout: found {share!r}, expected a share from 0 up to 1")
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and not (adapter is not None and ".lora_dropout." in f"{name}."):
            module.p = share
        for attribute in ("attention_dropout", "dropout"):  # where a layer hands a number to its attention
            if isinstance(getattr(module, attribute, None), float):
                setattr(module, attribute, share)


def writing_head(loaded: Loaded) -> Callable[[Tensor], Tensor]:
    """What makes logits of hidden states: the part of the model beside its body.

    Raises:
        UsageError: There is not one such part.
    """
    heads = [part for part in loaded.model.children() if part is not loaded.body]
    if len(heads) != 1:
        raise UsageError(
            f"{loaded.checkpoint.label}: {type(loaded.model).__name__} has {len(heads)} parts beside its body, expected one head"
        )
    return cast("Callable[[Tensor], Tensor]", heads[0])


def check_head(loaded: Loaded) -> None:
    """Refuses a model that does more to its logits than its head does, such as scaling or capping: training would not see it.

    Raises:
        UsageError: The logits are not those of the head.
    """
    import torch

    with torch.inference_mode():
        ids = torch.tensor([[*loaded.form.opening, *loaded.form.ids("a passage and a response")]], device=loaded.device)
        whole = loaded.model(input_ids=ids, use_cache=False).logits.float()
        alone = writing_head(loaded)(loaded.body(input_ids=ids, use_cache=False).last_hidden_state).float()
    if not torch.allclose(whole, alone, rtol=1e-2, atol=1e-2 * float(whole.abs().max())):
        raise UsageError(
            f"{loaded.checkpoint.label}: {type(loaded.model).__name__} changes its logits after its head, which training here does not "
            "follow; give a decoder that does not, or train it for retrieval alone with responds: false in its profile"
        )


def _linear_layers(loaded: Loaded) -> list[str]:
    """Names of the body's linear layers, as they are called in the whole model."""
    import torch

    own = {id(module) for module in loaded.body.modules() if isinstance(module, torch.nn.Linear)}
    return [name for name, module in loaded.model.named_modules() if id(module) in own]
