"""Checkpoints into memory: tokenizer, encoder, decoder, head. A weight that is not in the files is never made up."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from convbench.backends.calls import calling_transformers
from convbench.backends.checkpoint import AFTER_POOLING, Checkpoint
from convbench.backends.families import can_write, is_bert_like, predicts_masked_words
from convbench.backends.gaps import heads, listed, refuse_gaps
from convbench.backends.profile import Profile
from convbench.backends.vocabulary import read_tokenizer
from convbench.errors import ResourceError

SAFELY: Mapping[str, Any] = {
    "use_safetensors": True,
    "trust_remote_code": False,
    "local_files_only": True,
    "output_loading_info": True,
    "ignore_mismatched_sizes": True,  # reported, and refused in one line by whoever loads
}
"""How every model is loaded with ``from_pretrained``: no pickled weights, no code of a checkpoint, no download."""


def load_tokenizer(checkpoint: Checkpoint, *, padding_side: str) -> Any:
    """The tokenizer, with a padding token.

    Args:
        checkpoint: The checkpoint.
        padding_side: ``left`` or ``right``.

    Raises:
        ResourceError: It cannot be read, or no token can pad.
    """
    tokenizer = read_tokenizer(checkpoint.label, checkpoint.tokenizer, checkpoint.model.path, padding_side=padding_side)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
        if tokenizer.pad_token is None:
            raise ResourceError(
                f"{checkpoint.label}: the tokenizer has no padding, unknown or end token; name a pad_token in tokenizer_config.json"
            )
    return tokenizer


def load_encoder(checkpoint: Checkpoint, profile: Profile, *, device: str, dtype: str) -> Any:
    """The model without a head, ready to compute.

    Args:
        checkpoint: The checkpoint.
        profile: How it is used.
        device: Where it is to compute.
        dtype: Name of a torch dtype.

    Raises:
        ResourceError: The files lack weights of the model, or do not fit it.
    """
    from transformers import AutoModel

    if _adapts_whole_decoder(checkpoint):
        return _whole_decoder(checkpoint, device=device, dtype=dtype, causal=profile.attention == "causal", headless=True).base_model
    model, info = _read(AutoModel, checkpoint, dtype, causal=profile.attention == "causal")
    refuse_gaps(checkpoint.label, model, info, unused=("pooler.",))
    return _adapted(checkpoint, model.to(device)).eval()


def load_causal(checkpoint: Checkpoint, profile: Profile, *, device: str, dtype: str) -> Any:
    """The model with the head that writes: its own, or where the profile says so the input embeddings.

    Args:
        checkpoint: The checkpoint.
        profile: How it is used.
        device: Where it is to compute.
        dtype: Name of a torch dtype.

    Raises:
        ResourceError: It cannot write, or its files lack weights of the model or do not fit it.
    """
    if not can_write(checkpoint.model_type):
        raise ResourceError(f"{checkpoint.label}: {checkpoint.model_type} models cannot write; give a decoder")
    headless = profile.lm_head == "embeddings"
    model = _whole_decoder(checkpoint, device=device, dtype=dtype, causal=True, headless=headless)
    if headless:
        _write_with_embeddings(checkpoint, model)
    return model


def load_masked(checkpoint: Checkpoint, *, device: str, dtype: str) -> Any:
    """The model with the head that predicts masked words, one logit for each word of the vocabulary.

    Args:
        checkpoint: The checkpoint.
        device: Where it is to compute.
        dtype: Name of a torch dtype.

    Raises:
        ResourceError: It is no masked language model, or its files lack weights of the model or do not fit it.
    """
    from transformers import AutoModelForMaskedLM

    if not predicts_masked_words(checkpoint.model_type):
        raise ResourceError(
            f"{checkpoint.label}: {checkpoint.model_type} models predict no masked words; give one such as BERT with its head"
        )
    model, info = _read(AutoModelForMaskedLM, checkpoint, dtype, causal=False)
    advice = "it holds no head that predicts masked words: give a checkpoint that does, such as a SPLADE model"
    refuse_gaps(checkpoint.label, model, info, unused=(), headless=advice)
    return _adapted(checkpoint, model.to(device)).eval()


def load_head(checkpoint: Checkpoint, profile: Profile, *, device: str, dtype: str) -> Any:
    """What comes after pooling, or None.

    ANCE's is a linear layer and a LayerNorm (``RobertaDot_NLL_LN`` of github.com/microsoft/ANCE), which transformers knows nothing of.

    Raises:
        ResourceError: The files do not hold it.
    """
    if profile.head == "none":
        return None
    import torch

    missing = [name for name in AFTER_POOLING if not checkpoint.has_tensor(name)]
    if missing:
        raise ResourceError(
            f"{checkpoint.label}: the profile's head 'ance' needs {', '.join(missing)}, which its files lack; set head: none"
        )
    weight, bias, scale, shift = (_tensor(checkpoint, name) for name in AFTER_POOLING)
    head = torch.nn.Sequential(torch.nn.Linear(*weight.shape[::-1]), torch.nn.LayerNorm(scale.shape, eps=1e-5))
    head.load_state_dict({"0.weight": weight, "0.bias": bias, "1.weight": scale, "1.bias": shift})
    return head.to(device=device, dtype=getattr(torch, dtype)).eval()


def _tensor(checkpoint: Checkpoint, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(checkpoint.tensors[name].file, "pt") as file:
        return file.get_tensor(name)


def _whole_decoder(checkpoint: Checkpoint, *, device: str, dtype: str, causal: bool, headless: bool) -> Any:
    """Body and head; ``headless``: the head is not used, so that its weights may be missing."""
    from transformers import AutoModelForCausalLM

    model, info = _read(AutoModelForCausalLM, checkpoint, dtype, causal=causal)
    refuse_gaps(checkpoint.label, model, info, unused=tuple(f"{name}." for name in heads(model)) if headless else ())
    return _adapted(checkpoint, model.to(device)).eval()


def _read(auto: Any, checkpoint: Checkpoint, dtype: str, *, causal: bool) -> tuple[Any, Mapping[str, Any]]:
    """The model from its safetensors files, and which tensors were missing, left over or of another shape."""
    import torch

    path = checkpoint.model.path
    with calling_transformers(f"{checkpoint.label}: the model cannot be loaded"):
        config = _config(checkpoint)
        if is_bert_like(checkpoint.model_type):
            config.is_decoder = causal
        kind = auto._model_mapping[type(config)]
        settings: dict[str, Any] = {"attn_implementation": "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"}
        if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
            settings["add_pooling_layer"] = False
        model, info = auto.from_pretrained(
            path,
            config=config,
            dtype=getattr(torch, dtype),
            **SAFELY,
            **settings,
        )
    return model, info


def _config(checkpoint: Checkpoint) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(checkpoint.model.path, trust_remote_code=False, local_files_only=True)


def _write_with_embeddings(checkpoint: Checkpoint, model: Any) -> None:
    """Puts the input embeddings, shared and not copied, in the place of the head: its logits are hidden states times embeddings."""
    import torch

    embeddings, found = model.get_input_embeddings().weight, heads(model)
    rows, size = embeddings.shape
    if len(found) != 1 or size != model.config.hidden_size:
        raise ResourceError(f"{checkpoint.label}: lm_head: embeddings does not fit {type(model).__name__}; set lm_head: checkpoint")
    head = torch.nn.Linear(size, rows, bias=False, device="meta")
    head.weight = embeddings
    setattr(model, found[0], head)


def _adapts_whole_decoder(checkpoint: Checkpoint) -> bool:
    """Whether an adapter was made for the model with its head, within which the body has a name of its own."""
    if checkpoint.adapter is None or not can_write(checkpoint.model_type):
        return False
    from transformers import AutoModelForCausalLM

    whole: Any = AutoModelForCausalLM._model_mapping[type(_config(checkpoint))]
    body = whole.base_model_prefix
    return any(name.startswith(f"base_model.model.{body}.") for name in checkpoint.adapter_tensors)


def _adapted(checkpoint: Checkpoint, model: Any) -> Any:
    """The model with the adapter merged into its weights; one of which a tensor found no place is refused."""
    if checkpoint.adapter is None:
        return model
    with calling_transformers(f"{checkpoint.label}: the adapter cannot be put on {type(model).__name__}"):
        from peft import PeftModel, get_peft_model_state_dict

        path, device = str(checkpoint.located.path), str(model.device)
        adapted = PeftModel.from_pretrained(model, path, torch_device=device, local_files_only=True)
        if not hasattr(adapted, "merge_and_unload"):
            kind = checkpoint.adapter.get("peft_type")
            raise ResourceError(f"{checkpoint.label}: a {kind} adapter cannot be merged into a model's weights; expected one such as LORA")
        needed = get_peft_model_state_dict(adapted, save_embedding_layers=False).keys()
        unexpected = adapted.load_adapter(path, "default", torch_device=device).unexpected_keys  # the first time nobody tells
        astray = sorted({*(name.replace(".default", "") for name in unexpected), *needed - checkpoint.adapter_tensors.keys()})
        if astray:
            made_for = "whole model" if _adapts_whole_decoder(checkpoint) else "model without its head, so it encodes but does not write"
            raise ResourceError(
                f"{checkpoint.label}: the adapter does not fit {type(model).__name__}: no match for {listed(astray)}; "
                f"by its names it was made for the {made_for}"
            )
        return adapted.merge_and_unload()
