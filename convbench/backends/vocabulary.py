"""A checkpoint's tokenizer, and whether the model has a row for each of its ids."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from convbench.backends.calls import calling_transformers
from convbench.backends.weights import Stored
from convbench.errors import ResourceError

log = logging.getLogger(__name__)

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight", "wte.weight", "embed_in.weight", "tok_embeddings.weight")
_PARTS = ("bos_token", "eos_token", "pad_token", "sep_token", "cls_token", "unk_token", "mask_token")
_MAY_BE = {"bos_token": {"bos_token", "cls_token", "eos_token"}, "eos_token": {"eos_token", "sep_token", "pad_token", "bos_token"}}


def tokenizer_folder(name: str, folders: Sequence[Path]) -> Path:
    """The first folder that holds a tokenizer: an adapter may bring its own.

    Raises:
        ResourceError: None does.
    """
    for folder in folders:
        if any(any(folder.glob(pattern)) for pattern in _TOKENIZER_FILES):
            return folder
    raise ResourceError(
        f"{name}: no tokenizer in the folder, expected one of {', '.join(_TOKENIZER_FILES)}; save the tokenizer beside the weights"
    )


def read_tokenizer(name: str, folder: Path, model_folder: Path, **settings: Any) -> Any:
    """The tokenizer of a folder.

    Args:
        name: The checkpoint, for messages.
        folder: Where the tokenizer's files are.
        model_folder: Where config.json is, which says what kind it is if the tokenizer's own files do not.
        settings: Passed on to transformers.
    """
    with calling_transformers(f"{name}: the tokenizer cannot be read"):
        from transformers import AutoConfig, AutoTokenizer

        config = AutoConfig.from_pretrained(model_folder, trust_remote_code=False, local_files_only=True)
        return AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False, local_files_only=True, **settings)


def check_vocabulary(name: str, tokenizer: Any, stated: int | None, tensors: Mapping[str, Stored]) -> None:
    """Refuses a tokenizer with ids that the model has no embedding for: a lookup out of range, or another model's tokenizer.

    Args:
        name: The checkpoint, for messages.
        tokenizer: Its tokenizer.
        stated: The configuration's vocab_size.
        tensors: The model's stored tensors, among which its embeddings are looked for by their usual names.

    Raises:
        ResourceError: Tokenizer, config.json and the stored embeddings do not agree.
    """
    found = next((tensor for tensor in tensors if tensor.endswith(_EMBEDDINGS)), None)
    rows = tensors[found].shape[0] if found else stated
    if found and stated is not None and stated != rows:
        raise ResourceError(
            f"{name}: config.json says vocab_size {stated}, but {found} has {rows} rows; give the config.json saved with the weights"
        )
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if rows is not None and largest >= rows:
        raise ResourceError(
            f"{name}: the tokenizer has ids up to {largest}, but the model has embeddings for {rows} (0-{rows - 1}); "
            "give the tokenizer that the checkpoint was trained with"
        )
    if rows is not None and largest + 1 < rows / 2:
        log.info(
            "%s: the tokenizer has %d ids for %d embeddings; if the checkpoint was trained with another one, results mean nothing",
            *(name, largest + 1, rows),
        )


def check_ends(name: str, tokenizer: Any, *stated: Mapping[str, Any]) -> None:
    """Notices a decoder with another model's tokenizer by the ids that begin and end its texts.

    Published files contradict themselves here: configurations keep the ids of their class (GPT-NeoX says 0 and 2, GPT-2 says 50256), name
    one of several end tokens (Qwen, Llama 3), or an opening token that the tokenizer does not have (Qwen). What pads is told by none: Llama
    says 0, its unknown token. So only an end token that the tokenizer has in quite another part is refused; other contradictions are said.

    Args:
        name: The checkpoint, for messages.
        tokenizer: Its tokenizer.
        stated: config.json and generation_config.json.

    Raises:
        ResourceError: Every end token that they name is the tokenizer's unknown, first or mask token.
    """
    for part in ("eos_token", "bos_token"):
        found = {id_: _parts(tokenizer, id_) for id_ in sorted(set(_stated(stated, f"{part}_id"))) if 0 <= id_ < len(tokenizer)}
        if not found or any(_fits(tokenizer, part, id_, parts) for id_, parts in found.items()):
            continue
        id_, parts = next(iter(found.items()))
        token = tokenizer.convert_ids_to_tokens(id_)
        if part == "eos_token" and all(found.values()):
            raise ResourceError(
                f"{name}: config.json says eos_token_id {id_}, which in the tokenizer is {token!r}, its {min(parts)}; give the "
                "tokenizer that the checkpoint was trained with, or correct eos_token_id in config.json and generation_config.json"
            )
        log.info(
            "%s: config.json says %s_id %d, in the tokenizer %r; if the checkpoint was trained with another one, results mean nothing",
            *(name, part, id_, token),
        )


def _stated(documents: Sequence[Mapping[str, Any]], key: str) -> Iterator[int]:
    """Ids under a key; several end tokens are a list."""
    for document in documents:
        value = document.get(key)
        yield from (id_ for id_ in (value if isinstance(value, list) else [value]) if isinstance(id_, int))


def _parts(tokenizer: Any, id_: int) -> set[str]:
    """The parts that a token plays."""
    return {part for part in _PARTS if getattr(tokenizer, f"{part}_id") == id_}


def _fits(tokenizer: Any, part: str, id_: int, parts: set[str]) -> bool:
    """Whether a token may begin or end texts."""
    if parts:
        no_other = part == "bos_token" and tokenizer.bos_token is None
        return bool(parts & (_MAY_BE[part] | ({"pad_token"} if no_other else set())))
    added = tokenizer.added_tokens_decoder.get(id_)
    return part == "eos_token" and added is not None and added.special
