"""Texts as weighted words of the vocabulary: SPLADE, on any masked language model.

A word weighs as much as the token that speaks most for it (SPLADE v2, Formal et al. 2021: max pooling)::

    weight[word] = max over the text's tokens of log(1 + max(logit[token, word], 0))

Opening and closing tokens are tokens like others, as in github.com/naver/splade; padding is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from convbench.backends.batches import length_batches
from convbench.backends.checkpoint import Checkpoint, open_checkpoint
from convbench.backends.families import predicts_masked_words
from convbench.backends.load import load_masked, load_tokenizer
from convbench.backends.loaded import resolved
from convbench.backends.placement import Device, Dtype, ModelConfig
from convbench.backends.tokens import InputForm
from convbench.config import Config
from convbench.errors import ResourceError
from convbench.meter import Meter

if TYPE_CHECKING:
    from scipy.sparse import csr_array

VERSION = 1
Side = Literal["query", "passage"]


class SparseModelConfig(Config):
    """A SPLADE checkpoint and how to run it.

    Attributes:
        model: Folder or hub id.
        revision: Hub commit, tag or branch.
        query_model: Another checkpoint for queries, with the same vocabulary.
        query_revision: Its commit, tag or branch.
        query_prefix: Before every query.
        query_tokens: Longest query, opening and closing tokens included; a model with fewer positions lowers it.
        passage_tokens: Longest passage.
        query_terms: Words of the largest weights that are kept of a query; None: all that weigh something.
        passage_terms: Words that are kept of a passage.
        device: ``auto``: the first of cuda, mps, cpu that is there.
        dtype: ``auto``: float32 on the CPU, elsewhere what the checkpoint is stored in.
        batch_tokens: Most tokens in a batch, padding included; each has a logit for every word of the vocabulary (122 kB in float32).
    """

    model: str
    revision: str | None = None
    query_model: str | None = None
    query_revision: str | None = None
    query_prefix: str = ""
    query_tokens: int = Field(default=512, ge=8)
    passage_tokens: int = Field(default=512, ge=8)
    query_terms: int | None = Field(default=None, ge=1)
    passage_terms: int | None = Field(default=None, ge=1)
    device: Device = "auto"
    dtype: Dtype = "auto"
    batch_tokens: int = Field(default=4096, ge=1)


@dataclass(frozen=True, slots=True)
class SparseEncoded:
    """Encoded texts.

    Attributes:
        weights: Shape (texts, vocabulary), float32; words in the order of their ids, none without weight.
        tokens: What was sent to the model for each text, in tokens.
        cut: Tokens of each text that did not fit.
    """

    weights: csr_array
    tokens: tuple[int, ...]
    cut: tuple[int, ...]


class SparseEncoder:
    """Encodes queries and passages; nothing is loaded before the first text.

    Args:
        config: The checkpoint and how to run it.
        offline: Refuse the network.
    """

    def __init__(self, config: SparseModelConfig, *, offline: bool = False) -> None:
        self.config = config
        self._offline = offline

    @cached_property
    def checkpoints(self) -> dict[Side, Checkpoint]:
        """The checkpoint of each side; one serves both where no other is named for queries.

        Raises:
            ResourceError: A checkpoint cannot be had, predicts no masked words, or they do not share a vocabulary.
        """
        passages = self._open(self.config.model, self.config.revision)
        if self.config.query_model is None:
            return {"query": passages, "passage": passages}
        queries = self._open(self.config.query_model, self.config.query_revision)
        words = [load_tokenizer(checkpoint, padding_side="right").get_vocab() for checkpoint in (queries, passages)]
        if words[0] != words[1]:
            raise ResourceError(
                f"{queries.label}: its vocabulary ({len(words[0])} words) is not that of {passages.label} ({len(words[1])} words), and "
                "weights are compared word by word; give a query_model of the same family"
            )
        return {"query": queries, "passage": passages}

    def _open(self, model: str, revision: str | None) -> Checkpoint:
        checkpoint = open_checkpoint(model, offline=self._offline, revision=revision)
        if not predicts_masked_words(checkpoint.model_type):
            raise ResourceError(f"{checkpoint.label}: {checkpoint.model_type} models predict no masked words; give a SPLADE checkpoint")
        return checkpoint

    @cached_property
    def _models(self) -> dict[Side, _Masked]:
        found = {label: _Masked(self.config, checkpoint) for label, checkpoint in self._distinct.items()}
        return {side: found[checkpoint.label] for side, checkpoint in self.checkpoints.items()}

    @property
    def _distinct(self) -> dict[str, Checkpoint]:
        return {checkpoint.label: checkpoint for checkpoint in self.checkpoints.values()}

    @property
    def vocabulary(self) -> int:
        """Words that a text can weigh: the model's logits."""
        return int(self.checkpoints["passage"].config["vocab_size"])

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters of each checkpoint, by its label."""
        return {label: checkpoint.parameters_of("decoder") for label, checkpoint in self._distinct.items()}

    def load(self) -> None:
        """Loads what encodes queries and passages, so that it is not loaded within the first batch."""
        _ = self._models

    def describe(self) -> dict[str, Any]:
        """The checkpoints' files, the settings, and the versions that change weights."""
        import torch
        import transformers

        sides: dict[str, Any] = {}
        for side, checkpoint in self.checkpoints.items():
            device, dtype = resolved(_placed(self.config), checkpoint)
            sides[side] = {**checkpoint.describe(), "device": device, "dtype": dtype}
        settings = self.config.model_dump(exclude={"model", "revision", "query_model", "query_revision", "device", "dtype"})
        return {**sides, **settings, "version": VERSION, "torch": torch.__version__, "transformers": transformers.__version__}

    def describe_passages(self) -> dict[str, Any]:
        """The part of ``describe`` that changes passages, so that another setting for queries needs no other index."""
        return {name: value for name, value in self.describe().items() if not name.startswith("query")}

    def encode_queries(self, texts: Sequence[str], meter: Meter) -> SparseEncoded:
        """Encodes queries, cut on the right where they are too long; forward passes and tokens go to the meter."""
        config = self.config
        return self._models["query"].encode(texts, config.query_prefix, config.query_tokens, config.query_terms, meter)

    def encode_passages(self, texts: Sequence[str], meter: Meter) -> SparseEncoded:
        """Encodes passages, cut on the right where they are too long; forward passes and tokens go to the meter."""
        return self._models["passage"].encode(texts, "", self.config.passage_tokens, self.config.passage_terms, meter)


class _Masked:
    """One masked language model in memory."""

    def __init__(self, config: SparseModelConfig, checkpoint: Checkpoint) -> None:
        device, dtype = resolved(_placed(config), checkpoint)
        self._batch_tokens, self._positions = config.batch_tokens, checkpoint.max_positions
        self._tokenizer = load_tokenizer(checkpoint, padding_side="right")
        self._form = InputForm(self._tokenizer, None, checkpoint.label)
        self._model = load_masked(checkpoint, device=device, dtype=dtype)

    def encode(self, texts: Sequence[str], prefix: str, length: int, terms: int | None, meter: Meter) -> SparseEncoded:
        """Weighs the words of texts; equal inputs are computed once."""
        form, longest = self._form, min(length, self._positions or length)
        cuts = [form.fit(ids, (), longest) for ids in form.all_ids([prefix + form.plain(text) for text in texts])]
        distinct = list(dict.fromkeys(cut.ids for cut in cuts))
        rows = {ids: row for row, ids in enumerate(distinct)}
        weights = _stacked(dict(self._weights(distinct, terms, meter)), self._model.config.vocab_size)
        tokens, cut = tuple(len(cut.ids) for cut in cuts), tuple(cut.dropped for cut in cuts)
        return SparseEncoded(weights[[rows[cut.ids] for cut in cuts]] if cuts else weights, tokens, cut)

    def _weights(
        self, inputs: Sequence[Sequence[int]], terms: int | None, meter: Meter
    ) -> Iterator[tuple[int, tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]]:
        import torch

        for batch in length_batches([len(ids) for ids in inputs], self._batch_tokens):
            padded = self._tokenizer.pad({"input_ids": [list(inputs[index]) for index in batch]}, return_tensors="pt").to(
                self._model.device
            )
            ids, mask = padded["input_ids"], padded["attention_mask"]
            with torch.inference_mode():
                logits = self._model(input_ids=ids, attention_mask=mask).logits
                largest = logits.masked_fill_(~mask.bool().unsqueeze(-1), 0).amax(dim=1)
                weights = largest.float().relu().log1p().cpu().numpy()
            meter.count(forward_passes=1, tokens_in=sum(len(inputs[index]) for index in batch))
            yield from ((index, _kept(row, terms)) for index, row in zip(batch, weights, strict=True))


def _placed(config: SparseModelConfig) -> ModelConfig:
    return ModelConfig(device=config.device, dtype=config.dtype)


def _kept(weights: npt.NDArray[np.float32], terms: int | None) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The words that weigh something, at most so many of the largest weights (of equal ones those of the smaller ids), in order."""
    words = np.flatnonzero(weights)
    if terms is not None and len(words) > terms:
        words = np.sort(words[np.argsort(-weights[words], kind="stable")[:terms]])
    return words.astype(np.int32), weights[words]


def _stacked(rows: dict[int, tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]], vocabulary: int) -> csr_array:
    from scipy.sparse import csr_array

    words, weights = ([rows[index][part] for index in range(len(rows))] for part in (0, 1))
    ends = np.cumsum([0, *map(len, words)], dtype=np.int32)
    columns = np.concatenate([np.empty(0, np.int32), *words])
    return csr_array((np.concatenate([np.empty(0, np.float32), *weights]), columns, ends), shape=(len(rows), vocabulary))
