"""Reranking: a second model reads the question and each of the best passages together, and orders them anew."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import Field

from convbench.backends.checkpoint import open_checkpoint
from convbench.backends.pair_model import PairModel, Row
from convbench.backends.placement import Device, Dtype, ModelConfig, resolve_device
from convbench.config import Config
from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.retrieval.canonical import canonical
from convbench.types import Ranking
from convbench.views.passages import PASSAGE_VIEW, passage_text
from convbench.views.query import Query

VERSION = 1

_FEWEST = 8
"""With fewer tokens of a passage beside the question there is nothing to score."""


@runtime_checkable
class Reranker(Protocol):
    """Orders the best passages of a ranking anew.

    Attributes:
        batch_size: Turns reranked together. A fixed partition of the turns into batches makes a resumed run equal to a whole one.
    """

    batch_size: int

    def describe(self) -> dict[str, Any]:
        """Everything that changes a ranking, the passages apart."""

    def check(self) -> None:
        """Makes sure, before any work and without loading anything large, that it can be used.

        Raises:
            ResourceError: A checkpoint cannot be had.
            UsageError: Settings contradict one another.
        """

    def open(self, meter: Meter) -> None:
        """Loads the model; its size goes to the meter."""

    def rerank(self, queries: Sequence[Query], rankings: Sequence[Ranking], store: PassageStore, meter: Meter) -> list[Ranking]:
        """The passages of each ranking in another order, canonical; none is added or lost."""


class RerankConfig(Config):
    """A cross-encoder: any sequence-classification checkpoint that was trained on questions and passages.

    Attributes:
        model: Folder or hub id.
        revision: Hub commit, tag or branch.
        depth: How many of the best passages are reranked; the others stay below them, in their order.
        label: The label whose logit is the score, by its name or number; None where there is one label only.
        activation: What is done to the logits: ``none``, or ``log-softmax`` over the labels, for models that were trained with two labels
            that exclude each other (monoBERT, Nogueira and Cho 2019). One order does not follow from the other.
        reads: What is scored against a passage: the ``question``, or the ``query`` that was searched with, history and all.
        query_prefix: Before the question.
        passage_prefix: Before a passage.
        max_tokens: Longest pair, special tokens included; a model with fewer positions lowers it. Only the passage is cut.
        device: ``auto``: the first of cuda, mps, cpu that is there.
        dtype: ``auto``: float32 on the CPU, elsewhere what the checkpoint is stored in.
        batch_tokens: Most tokens in a batch, padding included.
    """

    type: Literal["cross-encoder"] = "cross-encoder"
    model: str
    revision: str | None = None
    depth: int = Field(default=100, ge=1)
    label: str | int | None = None
    activation: Literal["none", "log-softmax"] = "none"
    reads: Literal["question", "query"] = "question"
    query_prefix: str = ""
    passage_prefix: str = ""
    max_tokens: int = Field(default=512, ge=16)
    device: Device = "auto"
    dtype: Dtype = "auto"
    batch_tokens: int = Field(default=8192, ge=1)

    @property
    def placed(self) -> ModelConfig:
        """The checkpoint and how to run it."""
        return ModelConfig(**self.model_dump(include={"model", "revision", "device", "dtype", "batch_tokens"}))


class CrossEncoder:
    """Scores question and passage together; nothing is loaded before ``open``.

    Args:
        config: The checkpoint and how it is used.
        offline: Refuse the network.
    """

    batch_size = 16

    def __init__(self, config: RerankConfig, *, offline: bool = False) -> None:
        self._config, self._offline = config, offline
        self._pairs = PairModel(config.placed, offline=offline)

    def describe(self) -> dict[str, Any]:
        """The checkpoint's files, the settings, and the versions that change scores."""
        import torch
        import transformers

        checkpoint = open_checkpoint(self._config.model, offline=self._offline, revision=self._config.revision)
        settings = self._config.model_dump(exclude={"model", "revision", "label"})
        place = {"device": resolve_device(self._config.device), "label": self._label, "max_tokens": self._longest}
        versions = {"version": VERSION, "passages": PASSAGE_VIEW, "torch": torch.__version__, "transformers": transformers.__version__}
        return {**checkpoint.describe(), **settings, **place, **versions}

    def check(self) -> None:
        """The checkpoint must be there, classify pairs of texts, and have the label.

        Raises:
            ResourceError: It cannot be had, or is no classifier of pairs.
            UsageError: There is no such label, or nothing says which of several counts.
        """
        self.describe()

    def open(self, meter: Meter) -> None:
        """Loads the model."""
        meter.model(self._pairs.label, self._pairs.model.num_parameters())

    def rerank(self, queries: Sequence[Query], rankings: Sequence[Ranking], store: PassageStore, meter: Meter) -> list[Ranking]:
        """Reranks the best passages of each ranking by their scores.

        Passages below ``depth`` keep their order and get scores below the lowest: 1, 2, 3 ... less than it.

        Args:
            queries: The turns' queries.
            rankings: Their rankings.
            store: Where the passages' texts are.
            meter: Where forward passes and tokens are counted.

        Raises:
            UsageError: A question leaves no room for a passage, or a score is not finite.
        """
        best = [[passage_id for passage_id, _ in ranking.passages[: self._config.depth]] for ranking in rankings]
        rows = [
            row
            for query, ids in zip(queries, best, strict=True)
            for row in self._rows(query, [passage_text(passage) for passage in store.get(ids)])
        ]
        scores = self._scores(rows, meter)
        ends = np.cumsum([len(ids) for ids in best]).tolist()
        return [self._ranking(ranking, ids, scores[end - len(ids) : end]) for ranking, ids, end in zip(rankings, best, ends, strict=True)]

    @cached_property
    def _label(self) -> int:
        """The id of the label that is the score."""
        pairs, wanted, labels = self._pairs, self._config.label, self._pairs.labels
        listed = ", ".join(f"{number}: {name}" for number, name in enumerate(labels))
        if len(labels) == 1 and self._config.activation != "none":
            raise UsageError(
                f"{pairs.label}: activation {self._config.activation} needs two labels or more, it has one; set activation: none"
            )
        if wanted is None and len(labels) > 1:
            raise UsageError(f"{pairs.label}: it has several labels ({listed}); say in 'label' which one means that a passage is relevant")
        named = [number for number, name in enumerate(labels) if wanted in (None, number, str(number), name)]
        if len(named) != 1:
            raise UsageError(f"{pairs.label}: no single label {wanted!r}; its labels are {listed}; give a name or a number")
        return named[0]

    @cached_property
    def _longest(self) -> int:
        return min(self._config.max_tokens, self._pairs.max_tokens)

    def _rows(self, query: Query, passages: Sequence[str]) -> list[Row]:
        """The question with each of the passages, which alone are cut."""
        pairs, config = self._pairs, self._config
        question = config.query_prefix + pairs.plain(query.question if config.reads == "question" else query.text)
        room = self._longest - pairs.added - len(pairs.form.ids(question))
        if room < _FEWEST:
            raise UsageError(
                f"turn {query.turn_id}: the {config.reads} leaves {max(room, 0)} of {self._longest} tokens for a passage, expected "
                f"{_FEWEST} or more: raise max_tokens, as far as the model has positions, or take a reranker that reads more"
            )
        if not passages:
            return []
        second = [config.passage_prefix + pairs.plain(passage) for passage in passages]
        encoded = pairs.tokenizer([question] * len(second), second, truncation="only_second", max_length=self._longest)
        return pairs.rows(encoded)

    def _scores(self, rows: Sequence[Row], meter: Meter) -> npt.NDArray[np.float32]:
        """The score of every pair; equal ones are computed once, so that they tie."""
        inputs = [tuple(row["input_ids"]) for row in rows]
        by_ids = dict(zip(inputs, rows, strict=True))
        distinct, places = list(by_ids.values()), {ids: place for place, ids in enumerate(by_ids)}
        values = np.empty(len(distinct), dtype=np.float32)
        for batch, logits in self._pairs.logits(distinct):
            meter.count(forward_passes=1, tokens_in=sum(len(distinct[index]["input_ids"]) for index in batch))
            normalised = logits.log_softmax(-1) if self._config.activation == "log-softmax" else logits
            values[batch] = normalised[:, self._label].cpu().numpy()
        return values[[places[ids] for ids in inputs]]

    def _ranking(self, ranking: Ranking, ids: Sequence[str], scores: npt.NDArray[np.float32]) -> Ranking:
        finite = np.isfinite(scores)
        if not finite.all():
            what = f"turn {ranking.turn_id}: passage {ids[int(np.argmin(finite))]!r}: the reranker's score is not finite"
            raise UsageError(f"{what}; check the checkpoint and the precision it runs in")
        reranked = canonical(ranking.turn_id, zip(ids, scores.tolist(), strict=True))
        lowest = reranked.passages[-1][1] if reranked.passages else 0.0
        below = [(passage_id, lowest - place) for place, (passage_id, _) in enumerate(ranking.passages[len(ids) :], 1)]
        return canonical(ranking.turn_id, [*reranked.passages, *below])


def open_reranker(config: RerankConfig, *, offline: bool) -> Reranker:
    """The reranker; nothing is loaded yet.

    Args:
        config: Its settings.
        offline: Refuse the network.
    """
    return CrossEncoder(config, offline=offline)
