"""A checkpoint's tokenizer, and whether the model has a row for each of its ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convbench.backends.calls import calling_transformers
from convbench.backends.weights import Stored
from convbench.errors import ResourceError

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight", "wte.weight", "embed_in.weight", "tok_embeddings.weight")


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
