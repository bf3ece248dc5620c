"""The model that BERTScore compares texts with, loaded once and kept.

bert-score 0.3.13 would load it anew at every call, pick a wrong class where a path contains "t5", need a layer for every local path,
overflow on a tokenizer that states no maximum length, and drop the leading space of RoBERTa-type tokenizers on transformers 5, which
changes the scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.backends.families import COUNT_POSITIONS_FROM_PADDING
from convbench.backends.locate import LocatedModel
from convbench.errors import ResourceError, UsageError
from convbench.io.digests import file_sha256, value_sha256
from convbench.metrics.bert_encoding import embed
from convbench.metrics.bert_matching import equal_weights, idf_weights

if TYPE_CHECKING:
    from convbench.metrics.bert_encoding import Embedding, Ids

_DEFAULT_LIMIT = 512
_UNBOUNDED = 1_000_000
"""transformers writes "no maximum length" as 1e30."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A text as the model reads it.

    Attributes:
        row: Token ids, special ones included, cut to the model's limit.
        is_empty: The tokenizer finds no token in it.
        is_cut: It is longer than the limit.
    """

    row: tuple[int, ...]
    is_empty: bool
    is_cut: bool


class BertModel:
    """A located checkpoint as bert-score uses it.

    Args:
        located: The checkpoint's files.
        num_layers: The layer whose output is compared. By default bert-score's own choice for the models it knows by name, and for
            others (local folders always) the layer at five sixths of the depth, which is near those choices.
    """

    def __init__(self, located: LocatedModel, num_layers: int | None = None) -> None:
        self.located = located
        self._num_layers = num_layers

    @cached_property
    def layers(self) -> int:
        """The layer whose output is compared.

        Raises:
            UsageError: The layer asked for is not there.
        """
        depth = getattr(self._config, "num_hidden_layers", None)
        if not isinstance(depth, int):
            raise ResourceError(f"{self.located.label}: its config.json states no number of layers, so bert-score cannot use it")
        layers = self._default_layers(depth) if self._num_layers is None else self._num_layers
        if not 1 <= layers <= depth:
            raise UsageError(f"bertscore: num_layers {layers}; {self.located.label} has the layers 1-{depth}")
        return layers

    def _default_layers(self, depth: int) -> int:
        from bert_score.utils import model2layers

        known = None if Path(self.located.name).is_dir() else model2layers.get(self.located.name)
        return known or max(1, round(depth * 5 / 6))

    @property
    def dim(self) -> int:
        """Numbers of a token's embedding; 0 where the configuration does not say."""
        return int(getattr(self._config, "hidden_size", None) or 0)

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are compared, special ones included: the least of what tokenizer and model allow."""
        return int(self._tokenizer.model_max_length)

    @cached_property
    def identity(self) -> str:
        """Digest of everything but its input that decides what the model gives."""
        config = file_sha256(self.located.path / "config.json")
        versions = [metadata.version(name) for name in ("torch", "transformers")]
        return value_sha256([self.located.sha256, config, self.layers, versions, self._device])

    def read(self, texts: Iterable[str]) -> dict[str, Tokenized]:
        """Each text as the model reads it."""
        unique = list(dict.fromkeys(texts))
        rows = dict(zip(unique, self._rows(unique, self.max_tokens + 1), strict=True))
        cut = [text for text, row in rows.items() if len(row) > self.max_tokens]
        rows |= dict(zip(cut, self._rows(cut, self.max_tokens), strict=True))
        special, long = self._tokenizer.num_special_tokens_to_add(), set(cut)
        return {text: Tokenized(tuple(row), len(row) <= special, text in long) for text, row in rows.items()}

    def _rows(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """Token ids; with the white space around texts taken off, as bert-score does."""
        if not texts:
            return []
        rows: list[list[int]] = self._tokenizer([text.strip() for text in texts], truncation=True, max_length=most)["input_ids"]
        return rows

    def idf(self, references: Sequence[str]) -> Mapping[int, float]:
        """Token id -> inverse document frequency over ``references`` (those without a token are left out)."""
        read = self.read(references)
        return idf_weights([read[text].row for text in references if not read[text].is_empty])

    def equal_weights(self) -> Mapping[int, float]:
        """Token id -> 1, but 0 for the tokens that begin and end a text."""
        special = (self._tokenizer.sep_token_id, self._tokenizer.cls_token_id)
        return equal_weights([token for token in special if token is not None])

    def embed(self, rows: Sequence[Ids], most_rows: int) -> list[Embedding]:
        """Embeddings of texts.

        Args:
            rows: Token ids of each, as ``read`` gives them.
            most_rows: Most texts that go through the model together.
        """
        return embed(self._model, rows, self._tokenizer.pad_token_id, most_rows) if rows else []

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        return self._load(AutoConfig)

    @cached_property
    def _tokenizer(self) -> Any:
        """The tokenizer as bert-score needs it: it cuts texts at ``model_max_length`` and pads them."""
        from transformers import AutoTokenizer

        tokenizer = self._load(AutoTokenizer)
        if type(tokenizer).__name__.removesuffix("Fast") in ("GPT2Tokenizer", "RobertaTokenizer"):
            tokenizer = self._load(AutoTokenizer, add_prefix_space=True)
        if tokenizer.pad_token_id is None:
            raise ResourceError(f"{self.located.label}: its tokenizer has no padding token, so bert-score cannot use it")
        stated = [limit for limit in (tokenizer.model_max_length, self._positions()) if 0 < limit < _UNBOUNDED]
        tokenizer.model_max_length = min(stated, default=_DEFAULT_LIMIT)
        return tokenizer

    def _positions(self) -> int:
        """Tokens that the position table has room for, or a number below 1 where the model has no such table."""
        positions = getattr(self._config, "max_position_embeddings", None) or 0
        offset = self._config.pad_token_id + 1 if self._config.model_type in COUNT_POSITIONS_FROM_PADDING else 0
        return int(positions - offset)

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModel

        model = self._load(AutoModel, use_safetensors=True, dtype=torch.float32)
        return cut(model, self.layers).to(self._device).eval()

    @cached_property
    def _device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def _load(self, loader: Any, **options: Any) -> Any:
        try:
            return loader.from_pretrained(str(self.located.path), trust_remote_code=False, local_files_only=True, **options)
        except (OSError, ValueError, KeyError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            raise ResourceError(f"{self.located.label}: transformers cannot load it ({reason})") from error


def cut(model: Any, layers: int) -> Any:
    """The model (the encoder, where there is a decoder too) with only its first layers, as ``bert_score.utils.get_model`` leaves it.

    Raises:
        ResourceError: The architecture has no stack of layers that could be cut.
    """
    from torch.nn import ModuleList

    if hasattr(model, "encoder") and hasattr(model, "decoder"):
        model = model.encoder
    depth = model.config.num_hidden_layers
    children = ((parent, name, child) for parent in model.modules() for name, child in parent.named_children())
    stack = next(((parent, name) for parent, name, child in children if isinstance(child, ModuleList) and len(child) == depth), None)
    if hasattr(model, "n_layers"):  # XLM counts its way through several lists
        model.n_layers = layers
    elif model.config.model_type == "albert":  # one group of weights, run through again and again
        model.config.num_hidden_layers = layers
    elif stack is not None:
        setattr(*stack, getattr(*stack)[:layers])
    else:
        raise ResourceError(f"bertscore: {model.config.model_type} models have no stack of layers to cut; choose another model")
    return model
