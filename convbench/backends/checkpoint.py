"""What a checkpoint's files say before any weight is loaded; whatever would fail later, or load as something else, is refused here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from convbench.backends.config_files import (
    ADAPTER,
    CONFIG,
    GENERATION,
    PROFILE_FILE,
    json_object,
    max_positions,
    read_config,
    read_settings,
)
from convbench.backends.families import body_prefix, can_write, is_bert_like
from convbench.backends.locate import LocatedModel, locate_model
from convbench.backends.vocabulary import check_ends, check_vocabulary, read_tokenizer, tokenizer_folder
from convbench.backends.weights import Stored, stored_tensors
from convbench.errors import ResourceError
from convbench.io.cache import cache_root, remembered_sha256
from convbench.io.digests import value_sha256
from convbench.io.file_state import file_state

_RESULTS_DEPEND_ON = (
    *(CONFIG, ADAPTER, PROFILE_FILE, GENERATION),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges*", "*.model", "*.jinja"),
)
_WRITING = ("ForCausalLM", "LMHeadModel")

AFTER_POOLING = ("embeddingHead.weight", "embeddingHead.bias", "norm.weight", "norm.bias")
"""ANCE's linear layer and LayerNorm."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's files.

    Attributes:
        located: Its folder.
        base: The folder of the base model, where the checkpoint is a PEFT adapter.
        config: The model's config.json (the base model's, for an adapter).
        adapter: adapter_config.json, for an adapter.
        profile: convbench.json, unvalidated; None where there is none.
        tensors: The model's stored tensors by name.
        adapter_tensors: The adapter's.
        tied: Whether by its configuration the head that writes is the input embeddings.
        max_positions: The longest input in tokens; None where the architecture sets no limit.
        tokenizer: Folder of the tokenizer.
    """

    located: LocatedModel
    base: LocatedModel | None
    config: Mapping[str, Any]
    adapter: Mapping[str, Any] | None
    profile: Mapping[str, Any] | None
    tensors: Mapping[str, Stored]
    adapter_tensors: Mapping[str, Stored]
    tied: bool
    max_positions: int | None
    tokenizer: Path

    @property
    def model(self) -> LocatedModel:
        """The folder that holds the model's own weights and config.json."""
        return self.base or self.located

    @property
    def label(self) -> str:
        """``name@digest``; of an adapter ``adapter@digest+base@digest``."""
        return f"{self.located.label}+{self.base.label}" if self.base else self.located.label

    @property
    def model_type(self) -> str:
        """The architecture's name in transformers, such as ``llama``."""
        return str(self.config["model_type"])

    @property
    def architectures(self) -> tuple[str, ...]:
        """The classes it was saved from."""
        return tuple(self.config.get("architectures") or ())

    @cached_property
    def beside_body(self) -> frozenset[str]:
        """The stored tensors that are no part of the body, such as a head; none where the body was saved alone."""
        prefix = body_prefix(self.model_type)
        if any(name.startswith(prefix) for name in self.tensors):
            return frozenset(name for name in self.tensors if not name.startswith(prefix))
        return frozenset(name for name in self.tensors if name.startswith("lm_head."))

    def parameters_of(self, kind: Literal["encoder", "decoder"]) -> int:
        """Parameters that are loaded, adapter included, as far as the files tell.

        An encoder is loaded without what stands beside its body, except for ANCE's layers, and neither kind with a pooler. A head that is
        stored although it is tied counts once, as embeddings.
        """
        unused = self.beside_body.difference(AFTER_POOLING) if kind == "encoder" else frozenset(filter(self._is_tied, self.beside_body))
        model = sum(stored.parameters for name, stored in self.tensors.items() if name not in unused and "pooler" not in name.split("."))
        return model + sum(stored.parameters for stored in self.adapter_tensors.values())

    def _is_tied(self, name: str) -> bool:
        shape = self.tensors[name].shape
        return self.tied and len(shape) == 2 and shape[0] == self.config.get("vocab_size")

    @property
    def writes(self) -> bool:
        """Whether it can write: it has a causal model's head, stored or tied to the embeddings, and no adapter that leaves it out."""
        if self._only_encodes:
            return False
        if self.tied and can_write(self.model_type) and not is_bert_like(self.model_type):
            return True
        return self._is_made_to_write and bool(self.beside_body)

    @property
    def lacks_head(self) -> bool:
        """Whether by its configuration it writes, and its files lack the head for it."""
        return self._is_made_to_write and not self.writes and not self._only_encodes

    @property
    def _is_made_to_write(self) -> bool:
        return any(name.endswith(_WRITING) for name in self.architectures)

    @property
    def _only_encodes(self) -> bool:
        return self.adapter is not None and self.adapter.get("task_type") == "FEATURE_EXTRACTION"

    def has_tensor(self, name: str) -> bool:
        """Whether the model's files hold a tensor of that name."""
        return name in self.tensors

    def describe(self) -> dict[str, Any]:
        """The weights by their label, and one digest of every other file that changes results."""
        folders = [self.located.path] if self.base is None else [self.located.path, self.base.path]
        digests = [
            [number, path.name, remembered_sha256(path, cache_root())]
            for number, folder in enumerate(folders)
            for path in sorted({path for pattern in _RESULTS_DEPEND_ON for path in folder.glob(pattern)})
        ]
        return {"model": self.label, "revision": self.located.revision, "files": value_sha256(digests)}


def open_checkpoint(name: str, *, offline: bool, revision: str | None = None) -> Checkpoint:
    """Finds a checkpoint and checks its files.

    Args:
        name: Folder or hub id, of a model or of a PEFT adapter.
        offline: Refuse the network.
        revision: Hub commit, tag or branch.

    Raises:
        ResourceError: It cannot be had, or its files are damaged, incomplete, of an unknown kind, or do not belong together.
    """
    located = locate_model(name, offline=offline, revision=revision)
    adapter = json_object(located.path / ADAPTER)
    base = _base_of(name, adapter, offline) if adapter is not None else None
    return _read(located, base, _state(located), _state(base or located))


def _state(located: LocatedModel) -> tuple[tuple[str | int, ...], ...]:
    """The files of a folder: while none of them changes, it need not be read again."""
    return tuple((str(path.resolve()), *file_state(path)) for path in sorted(located.path.iterdir()) if path.is_file())


@lru_cache(maxsize=8)
def _read(located: LocatedModel, base: LocatedModel | None, *_states: object) -> Checkpoint:
    name, model, adapter = located.name, base or located, json_object(located.path / ADAPTER)
    config = read_config(model)
    settings = read_settings(model)
    checkpoint = Checkpoint(
        located=located,
        base=base,
        config=config,
        adapter=adapter,
        profile=json_object(located.path / PROFILE_FILE),
        tensors=stored_tensors(model.name, model.path),
        adapter_tensors=stored_tensors(name, located.path, "adapter_model") if adapter is not None else {},
        tied=bool(getattr(settings, "tie_word_embeddings", False)),
        max_positions=max_positions(model.name, settings),
        tokenizer=tokenizer_folder(name, [located.path] if base is None else [located.path, base.path]),
    )
    tokenizer = read_tokenizer(name, checkpoint.tokenizer, model.path)
    check_vocabulary(name, tokenizer, getattr(settings, "vocab_size", None), checkpoint.tensors)
    generation = json_object(model.path / GENERATION) or {}
    if can_write(checkpoint.model_type) and not is_bert_like(checkpoint.model_type):
        check_ends(name, tokenizer, config, generation)
    return checkpoint


def _base_of(name: str, adapter: Mapping[str, Any], offline: bool) -> LocatedModel:
    wanted = adapter.get("base_model_name_or_path")
    if not isinstance(wanted, str) or not wanted:
        raise ResourceError(f"{name}: {ADAPTER} names no base model; write its folder or hub id as base_model_name_or_path")
    try:
        base = locate_model(wanted, offline=offline, revision=adapter.get("revision"))
    except ResourceError as error:
        raise ResourceError(
            f"{name}: {ADAPTER} names the base model {wanted!r}, which cannot be had ({error}); fetch it or change base_model_name_or_path"
        ) from None
    if (base.path / ADAPTER).exists():
        raise ResourceError(
            f"{name}: its base model {wanted!r} is an adapter itself; merge that into its own base model and name the result"
        )
    return base
