"""Encoder-decoder checkpoints (T5, BART): found, checked and loaded as safely as encoders and decoders are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.backends.calls import calling_transformers
from convbench.backends.families import model_types
from convbench.backends.gaps import refuse_gaps
from convbench.backends.load import SAFELY
from convbench.backends.locate import LocatedModel, locate_model
from convbench.backends.vocabulary import check_vocabulary, read_tokenizer, tokenizer_folder
from convbench.backends.weights import Stored, stored_tensors
from convbench.errors import ConvbenchError, ResourceError
from convbench.io.cache import cache_root, remembered_sha256
from convbench.io.digests import value_sha256
from convbench.io.jsonl import read_json
from convbench.registry import did_you_mean

_RESULTS_DEPEND_ON = ("config.json", "generation_config.json", "*token*.json", "vocab*", "merges*", "*.model")

_FORCED = (
    *("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id", "forced_bos_token_id", "forced_eos_token_id"),
    *("bad_words_ids", "suppress_tokens", "begin_suppress_tokens"),
)
"""What a checkpoint says of single tokens, which its texts need; beams, lengths and penalties are the decoding settings' alone."""


@dataclass(frozen=True, slots=True)
class Seq2SeqCheckpoint:
    """An encoder-decoder checkpoint's files.

    Attributes:
        located: Its folder.
        config: As transformers reads config.json.
        tensors: The stored tensors by name.
        tokenizer: The tokenizer.
        forced: Tokens that begin and end its texts, are forced or forbidden.
        max_positions: The longest source or text in tokens; None where the architecture sets no limit.
    """

    located: LocatedModel
    config: Any
    tensors: Mapping[str, Stored]
    tokenizer: Any
    forced: Mapping[str, Any]
    max_positions: int | None

    @property
    def label(self) -> str:
        """``name@digest``."""
        return self.located.label

    @property
    def parameters(self) -> int:
        """Parameters in the files."""
        return sum(stored.parameters for stored in self.tensors.values())

    def describe(self) -> dict[str, Any]:
        """The weights by their label, and one digest of every other file that changes results."""
        paths = sorted({path for pattern in _RESULTS_DEPEND_ON for path in self.located.path.glob(pattern)})
        digests = [[path.name, remembered_sha256(path, cache_root())] for path in paths]
        return {"model": self.label, "revision": self.located.revision, "files": value_sha256(digests), "forced": dict(self.forced)}


def open_seq2seq(name: str, *, offline: bool, revision: str | None = None) -> Seq2SeqCheckpoint:
    """Finds an encoder-decoder checkpoint and checks its files; no weight is loaded.

    Args:
        name: Folder or hub id.
        offline: Refuse the network.
        revision: Hub commit, tag or branch.

    Raises:
        ResourceError: It cannot be had, or its files are damaged, incomplete, or of another kind.
    """
    located = locate_model(name, offline=offline, revision=revision)
    config = _config(name, located.path)
    tensors = stored_tensors(name, located.path)
    tokenizer = read_tokenizer(name, tokenizer_folder(name, [located.path]), located.path)
    check_vocabulary(name, tokenizer, getattr(config, "vocab_size", None), tensors)
    if tokenizer.pad_token_id is None:
        raise ResourceError(f"{name}: the tokenizer has no padding token; name a pad_token in tokenizer_config.json")
    return Seq2SeqCheckpoint(
        located=located,
        config=config,
        tensors=tensors,
        tokenizer=tokenizer,
        forced=_forced(name, located.path, tokenizer),
        max_positions=getattr(config, "max_position_embeddings", None),
    )


def load_seq2seq(checkpoint: Seq2SeqCheckpoint, *, device: str, dtype: str) -> Any:
    """The model, ready to compute.

    Args:
        checkpoint: The checkpoint.
        device: Where it is to compute.
        dtype: Name of a torch dtype.

    Raises:
        ResourceError: The files lack weights of the model, or do not fit it.
    """
    import torch
    from transformers import AutoModelForSeq2SeqLM

    label = checkpoint.label
    with calling_transformers(f"{label}: the model cannot be loaded"):
        model, info = AutoModelForSeq2SeqLM.from_pretrained(
            checkpoint.located.path, config=checkpoint.config, dtype=getattr(torch, dtype), **SAFELY
        )
    refuse_gaps(label, model, info, unused=())
    return model.to(device).eval()


def _config(name: str, folder: Path) -> Any:
    """config.json of an encoder-decoder model that transformers has without remote code."""
    try:
        document = read_json(folder / "config.json")
    except ConvbenchError as error:
        raise ResourceError(f"{name}: {error}; give a folder that save_pretrained wrote") from None
    found = document.get("model_type") if isinstance(document, dict) else None
    known = model_types()
    if not isinstance(found, str) or found not in known:
        hint = did_you_mean(found, known) if isinstance(found, str) else ""
        raise ResourceError(f"{name}: config.json has the model_type {found!r}, which transformers does not know.{hint}")
    with calling_transformers(f"{name}: config.json does not describe a model"):
        from transformers import AutoConfig
        from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES

        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if not config.is_encoder_decoder or found not in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        raise ResourceError(f"{name}: {found} is no encoder-decoder model here; give one such as T5 or BART, or set type: transformers")
    return config


def _forced(name: str, folder: Path, tokenizer: Any) -> dict[str, Any]:
    """What generation_config.json, else config.json, says of single tokens; the tokenizer's where neither does."""
    from transformers import GenerationConfig

    source = next(file for file in ("generation_config.json", "config.json") if (folder / file).exists())
    with calling_transformers(f"{name}: {source} cannot be read"):
        own = GenerationConfig.from_pretrained(folder, config_file_name=source, local_files_only=True)
    said = {key: getattr(own, key, None) for key in _FORCED}
    said["eos_token_id"] = tokenizer.eos_token_id if said["eos_token_id"] is None else said["eos_token_id"]
    said["pad_token_id"] = tokenizer.pad_token_id
    if said["decoder_start_token_id"] is None:
        said["decoder_start_token_id"] = said["bos_token_id"]
    if said["decoder_start_token_id"] is None or said["eos_token_id"] is None:
        raise ResourceError(f"{name}: nothing says which tokens begin and end a text; set decoder_start_token_id and eos_token_id")
    return {key: value for key, value in said.items() if value is not None}
