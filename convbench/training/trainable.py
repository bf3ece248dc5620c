"""A checkpoint whose weights can be tuned: loaded by the code of inference, and read by it too, but with gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import ConfigDict

from convbench.backends.encode import hidden_states, padded
from convbench.backends.encoder import HFEncoder
from convbench.backends.loaded import Loaded
from convbench.backends.placement import ModelConfig
from convbench.backends.pooling import pool
from convbench.backends.sessions import can_share
from convbench.errors import UsageError
from convbench.training.adapting import LoraSettings, adapted, check_head, with_dropout, writing_head
from convbench.training.block_attention import allow_blocks, reads_blocks
from convbench.training.new_head import with_new_head, without_head
from convbench.training.rows import Row, Text
from convbench.training.session_mask import Part
from convbench.training.states import block_states, masked_states

if TYPE_CHECKING:
    from torch import Tensor

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableSettings:
    """How a checkpoint is made trainable.

    Attributes:
        lora: Tune these low-rank matrices and leave the weights alone; None: tune all weights.
        gradient_checkpointing: Keep the states between layers only and compute the others again in the backward pass.
        dropout: Share of activations that are dropped, everywhere but in the low-rank matrices; None: as the checkpoint says.
        new_head: Begin with a new head that writes, of the kind that the model's architecture has, in the place of the checkpoint's own or
            of none; all weights are tuned.
    """

    lora: LoraSettings | None = None
    gradient_checkpointing: bool = False
    dropout: float | None = None
    new_head: bool = False

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")  # where it is part of a recipe


@dataclass(frozen=True)
class Trainable:
    """A checkpoint that is tuned.

    Attributes:
        loaded: The checkpoint; its model's weights are what is tuned.
        module: Everything that is computed goes through a call of it: ``module(work)`` gives what ``work()`` gives. What accelerate makes
            of it takes its place: ``dataclasses.replace(trainable, module=accelerator.prepare(trainable.module))``.
        adapter: The ``peft`` model around ``loaded.model``, which merges and saves; None where all weights are tuned.
    """

    loaded: Loaded
    module: Any = field(repr=False)
    adapter: Any = field(default=None, repr=False)

    def parameters(self) -> list[Tensor]:
        """The weights that are tuned, each once."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]

    def through(self, work: Callable[[], Result]) -> Result:
        """What ``work`` computes, within the module, where data-parallel training and lower precision take hold."""
        result: Result = self.module(work)
        return result

    def encoded(self, texts: Sequence[Text]) -> Tensor:
        """The vectors of texts, as ``backends.encode`` computes them; without padding, where they can be read as rows.

        Args:
            texts: At least one.

        Returns:
            Shape (texts, dim), float32; of length 1 where the profile normalises.
        """
        import torch

        if reads_blocks(self.loaded) and can_share(self.loaded):
            rows = [Row(text.tokens, (Part(len(text.tokens)),), ((0, text.reads),)) for text in texts]
            states = self.states(rows)
            return self.finished(states[range(len(rows)), [len(row.tokens) - 1 for row in rows]])
        ids, mask = padded(self.loaded, [text.tokens for text in texts], self.loaded.profile.padding)
        skips = torch.tensor([[text.skip] for text in texts], device=mask.device)
        pooled = mask * (mask.cumsum(dim=1) > skips)
        return self.finished(pool(hidden_states(self.loaded, ids, mask), pooled, self.loaded.profile.pooling))

    def states(self, rows: Sequence[Row]) -> Tensor:
        """The hidden states of rows, each token with what it sees and where it stands.

        Args:
            rows: At least one.

        Returns:
            Shape (rows, longest, dim).
        """
        read = block_states if reads_blocks(self.loaded) else masked_states
        return read(self.loaded, rows, self._precision())

    def finished(self, pooled: Tensor) -> Tensor:
        """What comes after pooling, as ``backends.encode.finished`` computes it: the head, float32, and length 1.

        Args:
            pooled: Shape (n, d).
        """
        import torch

        vectors: Tensor = (self.loaded.head(pooled) if self.loaded.head is not None else pooled).float()
        return torch.nn.functional.normalize(vectors, dim=-1) if self.loaded.profile.normalize else vectors

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token, shape (n, vocabulary), for hidden states, shape (n, d)."""
        logits: Tensor = writing_head(self.loaded)(hidden)
        return logits

    def _precision(self) -> Any:
        """The precision of attention, which a mask must have too: a lowest number of another one overflows."""
        import torch

        kind = torch.device(self.loaded.device).type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.loaded.torch_dtype


def open_trainable(model: ModelConfig, settings: TrainableSettings | None = None, *, offline: bool = False) -> Trainable:
    """Loads a checkpoint for training, with what writes responses where it can write.

    Args:
        model: The checkpoint and how to run it.
        settings: How it is tuned; None: all weights, and nothing else changed.
        offline: Refuse the network.

    Raises:
        ResourceError: It cannot be had, is broken, or does not compute what its profile says.
        UsageError: It has two encoders, or a part of it cannot be tuned as asked.
    """
    wanted = settings or TrainableSettings()
    encoder = HFEncoder(without_head(model, offline=offline) if wanted.new_head else model, offline=offline, to_respond=True)
    if encoder.profile.query_model or encoder.profile.passage_model:
        raise UsageError(
            f"{encoder.checkpoint.label}: queries and passages have an encoder each, and one model is tuned for both: "
            "set query_model and passage_model to null in the profile, or give another checkpoint"
        )
    return made_trainable(with_new_head(encoder.queries) if wanted.new_head else encoder.queries, wanted)


def made_trainable(loaded: Loaded, wanted: TrainableSettings) -> Trainable:
    """Makes a loaded checkpoint trainable, in place.

    Args:
        loaded: The checkpoint; with a new head where one is wanted.
        wanted: How it is tuned.

    Raises:
        UsageError: A part of it cannot be tuned as asked.
    """
    if loaded.has_head:
        check_head(loaded)
    adapter = adapted(loaded, wanted.lora) if wanted.lora else None
    if wanted.lora is None:
        loaded.model.requires_grad_(True)
    if wanted.dropout is not None:
        with_dropout(loaded.model, wanted.dropout, adapter)
    if wanted.gradient_checkpointing:
        _checkpoint_layers(loaded)
    allow_blocks(loaded)
    return Trainable(loaded, whole_module(loaded).train(), adapter)


def _checkpoint_layers(loaded: Loaded) -> None:
    if not getattr(loaded.model, "supports_gradient_checkpointing", False):
        raise UsageError(f"{loaded.checkpoint.label}: {type(loaded.model).__name__} has no gradient checkpointing; leave it out")
    model = loaded.model  # transformers 5 gave it another name
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def whole_module(loaded: Loaded) -> Any:
    """One module around the model and what comes after pooling."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.head = loaded.model, loaded.head

        def forward(self, work: Callable[[], Any]) -> Any:
            return work()

    return Whole()
