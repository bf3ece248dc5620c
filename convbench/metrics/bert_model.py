"""The model that BERTScore compares texts with, loaded once and kept.

bert-score 0.3.13 would load it anew at every call, pick a wrong class where a path contains "t5", need a layer for every local path,
overflow on a tokenizer that states no maximum length, and drop the leading space of RoBERTa-type tokenizers on transformers 5, which
changes the scores. Its embedding, matching and idf code is used as it is.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from convbench.backends.families import COUNT_POSITIONS_FROM_PADDING
from convbench.backends.locate import LocatedModel
from convbench.errors import ResourceError, UsageError

Triple: TypeAlias = tuple[float, float, float]
"""Precision, recall and F1."""

_DEFAULT_LIMIT = 512
_UNBOUNDED = 1_000_000
"""transformers writes "no maximum length" as 1e30."""


class _Text(str):
    """A text that hashes alike in every process: bert-score forms its batches in the order of a set, and batches move the last digit."""

    __slots__ = ()

    def __hash__(self) -> int:
        return zlib.crc32(self.encode())


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
    def max_tokens(self) -> int:
        """Tokens of a text that are compared, special ones included: the least of what tokenizer and model allow."""
        return int(self._tokenizer.model_max_length)

    def sort_out(self, texts: Iterable[str]) -> tuple[set[str], set[str]]:
        """The texts in which the tokenizer finds no token, and those that are longer than ``max_tokens``."""
        unique = list(dict.fromkeys(texts))
        if not unique:
            return set(), set()
        rows = self._tokenizer([text.strip() for text in unique], truncation=True, max_length=self.max_tokens + 1)["input_ids"]
        special = self._tokenizer.num_special_tokens_to_add()
        empty = {text for text, row in zip(unique, rows, strict=True) if len(row) <= special}
        return empty, {text for text, row in zip(unique, rows, strict=True) if len(row) > self.max_tokens}

    def idf(self, references: Sequence[str]) -> Mapping[int, float]:
        """Token id -> inverse document frequency over ``references`` (those without a token are left out)."""
        from bert_score.utils import get_idf_dict

        empty, _ = self.sort_out(references)
        weights: Mapping[int, float] = get_idf_dict([text for text in references if text not in empty], self._tokenizer, nthreads=0)
        return weights

    def compare(self, pairs: Sequence[tuple[str, str]], idf: Mapping[int, float] | None, batch_size: int) -> list[Triple]:
        """Scores (candidate, reference) pairs, none of them without a token (see ``sort_out``).

        Args:
            pairs: The pairs.
            idf: Weights of the tokens, or None to weigh all alike.
            batch_size: Texts that go through the model together.
        """
        from bert_score.utils import bert_cos_score_idf

        if not pairs:
            return []
        candidates, references = ([_Text(pair[side]) for pair in pairs] for side in (0, 1))
        weights = self._equal_weights() if idf is None else idf
        device = next(self._model.parameters()).device
        scores = bert_cos_score_idf(
            self._model, references, candidates, self._tokenizer, weights, device=device, batch_size=batch_size
        ).tolist()
        return [(precision, recall, f1) for precision, recall, f1 in scores]

    def _equal_weights(self) -> Mapping[int, float]:
        weights: defaultdict[int, float] = defaultdict(lambda: 1.0)
        weights |= {self._tokenizer.sep_token_id: 0.0, self._tokenizer.cls_token_id: 0.0}
        return weights

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
        return cut(model, self.layers).to("cuda" if torch.cuda.is_available() else "cpu").eval()

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
