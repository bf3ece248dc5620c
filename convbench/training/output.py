"""What training writes: a folder that ``convbench run`` takes as it is, and plain transformers loads too."""

from __future__ import annotations

import copy
import fnmatch
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.backends.calls import calling_transformers
from convbench.backends.checkpoint import open_checkpoint
from convbench.backends.config_files import ADAPTER, CONFIG, GENERATION, PROFILE_FILE
from convbench.backends.families import can_write, is_bert_like
from convbench.backends.known import profile_of
from convbench.backends.loaded import can_respond
from convbench.backends.profile import Profile
from convbench.errors import InvariantError, UsageError
from convbench.io.atomic import write_text
from convbench.io.jsonl import read_json
from convbench.training.card import CARD, FACTS, CardFacts, Form, write_card
from convbench.training.replacing import replacing, storage_errors

if TYPE_CHECKING:
    from torch import Tensor

SHARD_SIZE = "5GB"
"""The largest file of weights; a model that needs more gets several, and an index."""

_TOKENIZER = "tokenizer_config.json"
_WRITTEN = (
    *(CARD, FACTS, PROFILE_FILE, CONFIG, ADAPTER, GENERATION),
    *("model*.safetensors", "model.safetensors.index.json", "adapter_model*.safetensors"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges*", "*.model", "*.jinja"),
)


def write_checkpoint(
    model: Any,
    tokenizer: Any,
    profile: Profile,
    facts: CardFacts,
    folder: Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    shard_size: str = SHARD_SIZE,
) -> None:
    """Writes a whole model: safetensors, configuration, tokenizer, ``convbench.json`` and the card.

    The folder appears whole or not at all, and an earlier checkpoint there stays until the new one is on the disk. A head that is the input
    embeddings (``lm_head: embeddings``) is not written, as no configuration of transformers describes it. Of
    several processes one alone may write.

    Args:
        model: A model of transformers.
        tokenizer: Its tokenizer.
        profile: How it is used; must say what training did.
        facts: What the card states.
        folder: Where it goes. Everything in it is replaced, so that nothing but a checkpoint that training wrote may be there.
        weights: The model's state, where its own tensors are only shards of it (FSDP); None takes the model's.
        shard_size: The largest file of weights, as transformers reads it (``5GB``).

    Raises:
        UsageError: The folder holds something else, or the profile needs a part that is not the model's.
        InvariantError: A weight is no finite number.
        ResourceError: What was written is no checkpoint that convbench takes.
        StorageError: The disk is full or the folder cannot be written to; what was there before is still there.
    """
    _write_model(model, tokenizer, profile, facts, folder, "whole", weights, shard_size)


def write_adapter(
    model: Any,
    tokenizer: Any,
    profile: Profile,
    facts: CardFacts,
    base: str,
    folder: Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes a LoRA adapter alone, in the form of peft; its base model is needed to use it.

    Args:
        model: A ``PeftModel`` with one adapter.
        tokenizer: As for ``write_checkpoint``, and so are the others.
        profile: How it is used.
        facts: What the card states; the revision of its base is where the base is looked for.
        base: Hub id or folder of the base model, which the adapter will name. A folder is named by its absolute path.
        folder: Where it goes.
        weights: The state of the whole model.

    Raises:
        UsageError: As ``write_checkpoint``, or the folder is the base model's.
        InvariantError: As ``write_checkpoint``, and so are the others.
        ResourceError: What was written is no checkpoint that convbench takes.
        StorageError: It cannot be written.
    """
    from peft import get_peft_model_state_dict

    local = Path(base).is_dir()
    if local and Path(base).resolve() == folder.resolve():
        raise UsageError(f"{folder}: is the base model's folder, which the adapter needs; choose another place")
    state = dict(model.state_dict() if weights is None else weights)
    _refuse_broken(get_peft_model_state_dict(model, state_dict=state, save_embedding_layers=False), folder)

    def write(place: Path) -> None:
        model.save_pretrained(str(place), state_dict=state, save_embedding_layers=False)  # "auto" would ask the hub
        found = {
            "base_model_name_or_path": str(Path(base).resolve()) if local else base,
            "revision": None if local else facts.base.revision,
        }
        _change(place / ADAPTER, **found)

    _write_folder(write, tokenizer, profile, facts, "adapter", folder)


def write_merged(model: Any, tokenizer: Any, profile: Profile, facts: CardFacts, folder: Path, *, shard_size: str = SHARD_SIZE) -> None:
    """Writes a base model with its LoRA adapter merged into the weights: a whole model that needs neither peft nor the base.

    The model itself stays as it is and can be trained further, since merging and unmerging would change its weights by rounding. It is
    copied for that, so memory must hold it twice.

    Args:
        model: A ``PeftModel``.
        tokenizer: As for ``write_checkpoint``, and so are the others.
        profile: How it is used.
        facts: What the card states.
        folder: Where it goes.
        shard_size: The largest file of weights.

    Raises:
        UsageError: As ``write_checkpoint``, and so are the others.
        InvariantError: A weight is no finite number.
        ResourceError: What was written is no checkpoint that convbench takes.
        StorageError: It cannot be written.
    """
    merged = copy.deepcopy(model).merge_and_unload()
    _write_model(merged, tokenizer, profile, facts, folder, "merged", None, shard_size)


def _write_model(
    model: Any,
    tokenizer: Any,
    profile: Profile,
    facts: CardFacts,
    folder: Path,
    form: Form,
    weights: Mapping[str, Tensor] | None,
    shard_size: str,
) -> None:
    if profile.head != "none":
        raise UsageError(f"{folder}: the profile's head {profile.head!r} is no part of a model of transformers; train with head: none")
    state = dict(model.state_dict() if weights is None else weights)
    _refuse_broken(state, folder)
    if profile.lm_head == "embeddings" and model.base_model is not model:
        prefix = f"{model.base_model_prefix}."
        model, state = model.base_model, {name.removeprefix(prefix): each for name, each in state.items() if name.startswith(prefix)}

    def write(place: Path) -> None:
        model.save_pretrained(place, state_dict=state, max_shard_size=shard_size)
        kind = model.config.model_type
        if can_write(kind) and is_bert_like(kind) and model.get_output_embeddings() is not None:
            _change(place / CONFIG, is_decoder=True)  # else transformers would let it look ahead where it writes

    _write_folder(write, tokenizer, profile, facts, form, folder)


def _write_folder(write: Callable[[Path], None], tokenizer: Any, profile: Profile, facts: CardFacts, form: Form, folder: Path) -> None:
    """Fills a folder beside the final place, checks it as any checkpoint is checked, and lets it take that place."""
    _refuse_foreign(folder)
    with replacing(folder) as place:
        with calling_transformers(f"{folder}: the checkpoint cannot be written"), storage_errors(folder):
            write(place)
            tokenizer.save_pretrained(place)
        _change(place / _TOKENIZER, is_local=None, local_files_only=None)  # how it was loaded here is of no use elsewhere
        write_text(place / PROFILE_FILE, json.dumps(profile.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
        write_card(facts, profile, form, place)
        _check(place, profile, folder)


def _check(place: Path, profile: Profile, folder: Path) -> None:
    """What was written is a checkpoint with this profile, and one with a head for responses where it is to respond."""
    checkpoint = open_checkpoint(str(place), offline=True)
    read, _ = profile_of(checkpoint)
    if read != profile:
        raise InvariantError(f"{folder}: {PROFILE_FILE} does not read back as the profile that was written")
    if profile.responds and not (can_respond(checkpoint, profile.model_copy(update={"responds": None}))):
        raise UsageError(
            f"{folder}: the profile says responds: true, and the model has no head that writes; train one, or set responds: null"
        )


def _refuse_broken(state: Mapping[str, Tensor], folder: Path) -> None:
    for name, weight in state.items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise InvariantError(
                f"{folder}: the weight {name} holds numbers that are not finite; nothing was written, go back to a good step"
            )


def _refuse_foreign(folder: Path) -> None:
    """Everything in the folder will go, so it must be what training wrote, or empty."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder}: is a file, expected a folder for the checkpoint; choose another place")
    names = sorted(path.name for path in folder.iterdir())
    strange = [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in _WRITTEN)]
    if strange:
        raise UsageError(
            f"{folder}: holds {strange[0]}, which is no part of a checkpoint, and would be lost; choose another place or move it"
        )
    if names and FACTS not in names:
        raise UsageError(f"{folder}: holds a checkpoint that was not trained here (no {FACTS}), and would be lost; choose another place")


def _change(path: Path, **changes: Any) -> None:
    """Puts other values into a JSON object; None takes a key out, but for a key that was null before."""
    content = read_json(path)
    kept = {key: value for key, value in (content | changes).items() if value is not None or content.get(key, "") is None}
    write_text(path, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
