"""A checkpoint in memory: weights, tokenizer and profile belong together."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from convbench.backends.approximation import Approximation, in_int8
from convbench.backends.checkpoint import Checkpoint, open_checkpoint
from convbench.backends.known import profile_of
from convbench.backends.load import load_causal, load_encoder, load_head, load_tokenizer
from convbench.backends.placement import ModelConfig, resolve_device, resolve_dtype
from convbench.backends.profile import Lengths, Profile
from convbench.backends.tokens import InputForm
from convbench.errors import ResourceError, UsageError

log = logging.getLogger(__name__)

Kind = Literal["encoder", "decoder"]

_COMPARED = 1_000_000_000
"""Most parameters of a model in half precision that is compared with itself in full: larger ones take too long on a CPU."""


@dataclass(frozen=True)
class Loaded:
    """What encoding and responding work with.

    Attributes:
        checkpoint: The files.
        profile: How to use them.
        tokenizer: The checkpoint's.
        form: How inputs are written.
        model: The whole model; of a decoder with the head that writes.
        head: What comes after pooling, or None.
        device: Where it computes.
        dtype: In which precision; of a model in 8-bit integers that of all but its linear layers.
        lengths: The profile's, lowered to what the model has positions for.
        is_int8: Whether linear layers compute in 8-bit integers. What they are given is scaled by all that stands in a batch, so texts are
            encoded one by one, and a vector depends on nothing but its text.
        approximation: What is compared with exact vectors, where these are not.
    """

    checkpoint: Checkpoint
    profile: Profile
    tokenizer: Any
    form: InputForm
    model: Any
    head: Any
    device: str
    dtype: str
    lengths: Lengths
    is_int8: bool = False
    approximation: Approximation | None = None

    @property
    def body(self) -> Any:
        """The model without the head that writes; its last hidden states are what is pooled."""
        own = self.model.base_model
        return self.model.get_decoder() if own is self.model and self.model.get_output_embeddings() is not None else own

    @property
    def torch_dtype(self) -> Any:
        """``dtype`` as torch knows it."""
        import torch

        return getattr(torch, self.dtype)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.head[0].out_features if self.head is not None else self.model.config.get_text_config().hidden_size)

    @cached_property
    def body_arguments(self) -> frozenset[str]:
        """What the body's forward pass can be given."""
        return frozenset(inspect.signature(self.body.forward).parameters)

    @cached_property
    def is_causal(self) -> bool:
        """Whether the model's own attention is causal."""
        return any(getattr(module, "is_causal", False) for module in self.body.modules())

    @property
    def pads_with_another(self) -> bool:
        """Whether the tokenizer came without a pad token of its own."""
        return self.tokenizer.init_kwargs.get("pad_token") is None

    @cached_property
    def windows(self) -> dict[str, int | None]:
        """How far back each kind of layer looks: kind -> tokens, or None for all the way.

        Raises:
            ResourceError: A kind of layer keeps no keys and values of single tokens.
        """
        config = self.model.config.get_text_config()
        window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
        if unknown := sorted(kinds - {"full_attention", "sliding_attention"}):
            raise ResourceError(
                f"{self.checkpoint.label}: layers of kind {unknown[0]!r} cannot be read here; expected a decoder of attention layers"
            )
        return {kind: window if kind == "sliding_attention" else None for kind in sorted(kinds)}

    @property
    def has_head(self) -> bool:
        """Whether it was loaded with a head that writes."""
        return self.model is not self.body

    @property
    def takes_positions(self) -> bool:
        """Whether a token can be told where it stands."""
        return "position_ids" in self.body_arguments

    @cached_property
    def first_position(self) -> int:
        """The first token's position: RoBERTa and its kin begin after the padding id."""
        embeddings: Any = getattr(self.body, "embeddings", None)
        counts_itself = embeddings is not None and hasattr(embeddings, "create_position_ids_from_input_ids")
        return int(embeddings.padding_idx) + 1 if counts_itself else 0

    @cached_property
    def masks_by_place(self) -> bool:
        """Whether a mask of its own goes by a token's place in the cache, whatever position it is told (GPT-Neo)."""
        return any(buffer.ndim == 4 and str(buffer.dtype) == "torch.bool" for buffer in self.body.buffers())


def load(config: ModelConfig, kind: Kind, *, offline: bool) -> Loaded:
    """Loads a checkpoint and tries it out.

    Args:
        config: Which, and how.
        kind: ``encoder`` loads what encodes, ``decoder`` what writes too.
        offline: Refuse the network.

    Raises:
        ResourceError: It cannot be had, is broken, or does not compute what its profile says.
        UsageError: Nothing says how it wants to be used, or it is to write in 8-bit integers.
    """
    from convbench.backends.probes import verify

    refuse_int8(config, kind)

    loaded = assemble(config, kind, offline=offline)
    verify(loaded)
    if loaded.pads_with_another:
        log.info("%s has no pad token: %s is used, and masked", loaded.checkpoint.label, loaded.tokenizer.pad_token)
    return _approximate(loaded, config, offline=offline) if kind == "encoder" else loaded


def refuse_int8(config: ModelConfig, kind: Kind) -> None:
    """Raises ``UsageError`` where a model is to write in 8-bit integers."""
    if config.dtype == "int8" and kind == "decoder":
        raise UsageError(f"{config.model}: dtype int8 is for encoding, and this model writes too; set dtype: float32, or decoding: null")


def _approximate(loaded: Loaded, config: ModelConfig, *, offline: bool) -> Loaded:
    """In 8-bit integers where asked for; to be compared with the exact model where it computes less exactly than it was stored."""
    stored = _stored(loaded.checkpoint) or "float32"
    halved = config.dtype in ("float16", "bfloat16") and stored == "float32"
    if config.dtype != "int8" and not (halved and loaded.checkpoint.parameters_of("encoder") <= _COMPARED):
        return loaded

    def exact() -> Loaded:
        return assemble(config.model_copy(update={"dtype": "float32", "device": "cpu"}), "encoder", offline=offline)

    approximation = Approximation(f"{loaded.checkpoint.label} in {config.dtype}", exact)
    if config.dtype != "int8":
        return replace(loaded, approximation=approximation)
    return replace(loaded, model=in_int8(loaded.model, loaded.checkpoint.label), is_int8=True, approximation=approximation)


def assemble(config: ModelConfig, kind: Kind, *, offline: bool) -> Loaded:
    """``load`` without trying out what was loaded."""
    checkpoint = open_checkpoint(config.model, offline=offline, revision=config.revision)
    profile, _ = profile_of(checkpoint, config.profile)
    device, dtype = resolved(config, checkpoint)
    dtype = "float32" if dtype == "int8" else dtype  # it is made of the float model
    tokenizer = load_tokenizer(checkpoint, padding_side=profile.padding)
    read = load_encoder if kind == "encoder" else load_causal
    return Loaded(
        checkpoint=checkpoint,
        profile=profile,
        tokenizer=tokenizer,
        form=InputForm(tokenizer, profile.closing, checkpoint.label, must_close=profile.pooling == "last"),
        model=read(checkpoint, profile, device=device, dtype=dtype),
        head=load_head(checkpoint, profile, device=device, dtype=dtype),
        device=device,
        dtype=dtype,
        lengths=fitted(profile.lengths, checkpoint.max_positions),
    )


def can_respond(checkpoint: Checkpoint, profile: Profile) -> bool:
    """Whether a checkpoint writes responses; one that does not is a retriever."""
    can = checkpoint.writes or profile.lm_head == "embeddings"
    return can if profile.responds is None else profile.responds


def resolved(config: ModelConfig, checkpoint: Checkpoint) -> tuple[str, str]:
    """Device and precision that a checkpoint runs on."""
    device = resolve_device(config.device)
    return device, resolve_dtype(config.dtype, device, _stored(checkpoint))


def _stored(checkpoint: Checkpoint) -> str | None:
    """The precision that the configuration names."""
    stored: str | None = checkpoint.config.get("dtype") or checkpoint.config.get("torch_dtype")
    return stored


def fitted(lengths: Lengths, positions: int | None) -> Lengths:
    """Lengths that a model with so many positions can take."""
    if positions is None:
        return lengths
    return Lengths(**{name: min(length, positions) for name, length in lengths.model_dump().items()})
