"""One training step: from examples to losses and gradients, ``L = L_R + lambda L_G + alpha L_CII`` (UniConv, Mo et al. 2025)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict

from convbench.backends.sessions import can_share
from convbench.backends.turn_inputs import NEW_TOKENS
from convbench.errors import UsageError
from convbench.training.batch import Batch, assemble
from convbench.training.choosing import choosing_loss, in_order
from convbench.training.chunked_gradients import backward_in_chunks
from convbench.training.counting import average_counts
from convbench.training.data.examples import Example
from convbench.training.objectives.weighted import Weights
from convbench.training.passes import Pass, in_chunks, whole_batch
from convbench.training.reading import ChunkReader, vectors_of
from convbench.training.trainable import Trainable
from convbench.training.turn_rows import INSTRUCTION, TurnRows
from convbench.types import Passage

if TYPE_CHECKING:
    from torch import Tensor

Apart = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """What a step computes. The longest sessions, passages and prompts are the profile's, as at inference.

    Attributes:
        weights: Of the objectives; those of weight 0 are not computed.
        temperature: ``tau`` of both contrastive objectives; ChatRetriever has 0.01.
        label_smoothing: Of the responses' likelihood; ChatRetriever has 0.1.
        packed: Whether the turns of a conversation are read as one row, where their sessions nest.
        row_tokens: Tokens after which a packed conversation goes on in another row: its mask, where it has one and is not read by blocks
            (``training.block_attention``), grows with their square.
        chunk_tokens: Most tokens, padding included, that are held with a graph; the batch's gradients are gathered chunk by chunk. None:
            the whole batch.
        negatives: Hard negatives of an example, at most; ChatRetriever has 4.
        earlier_responses: Responses of an example's latest earlier turns that ``L_CII`` tells from the right one, at most.
        new_tokens: Longest response, its end included.
        instruction: What ``L_CII`` puts before the session.

    Raises:
        UsageError: A number makes no sense.
    """

    weights: Weights
    temperature: float = 0.01
    label_smoothing: float = 0.1
    packed: bool = False
    row_tokens: int = 4096
    chunk_tokens: int | None = None
    negatives: int = 4
    earlier_responses: int = 4
    new_tokens: int = NEW_TOKENS
    instruction: str = INSTRUCTION

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")  # where it is part of a recipe

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"temperature: found {self.temperature!r}, expected a number above 0")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"label_smoothing: found {self.label_smoothing!r}, expected a share from 0 up to 1")
        for name, least in {"row_tokens": 1, "chunk_tokens": 1, "negatives": 0, "earlier_responses": 0, "new_tokens": 1}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name}: found {value!r}, expected at least {least}")


@dataclass(frozen=True, slots=True)
class StepValues:
    """What a step was.

    Attributes:
        losses: Objective -> its value before it was weighted, of the objectives that were computed, and ``total``: their weighted sum. Of
            several processes: the mean over them, 0 where one did not compute it, is the loss of the whole batch.
        tokens: Tokens that were read, padding not counted, a chunk's second reading neither.
        ids: The examples.
    """

    losses: dict[str, float]
    tokens: int
    ids: tuple[str, ...]


class JointStep:
    """Computes the losses of batches.

    With several processes, passages and responses of all of them are candidates, and each process's batch must feed the same contrastive
    objectives. Losses are means over the sessions, contexts and tokens of all of them: averaged over processes, losses and gradients are
    those of one process with the whole batch.

    Args:
        model: What is tuned.
        settings: What is computed.
        apart: Entered for the backward passes of all chunks but the last, such as ``partial(accelerator.no_sync, model.module)``.

    Raises:
        UsageError: The model cannot do what the objectives ask of it.
    """

    def __init__(self, model: Trainable, settings: StepSettings, *, apart: Apart = nullcontext) -> None:
        _check(model, settings)
        self._model, self._settings, self._apart = model, settings, apart
        self._writer = TurnRows(model.loaded, settings.new_tokens, settings.instruction)

    def backward(
        self, examples: Sequence[Example], negatives: Mapping[str, Sequence[Passage]], backward: Callable[[Tensor], Any]
    ) -> StepValues:
        """Adds the gradients of a batch's weighted losses to those of the weights.

        Args:
            examples: The batch.
            negatives: Example id -> hard negatives, hardest first; an example's own come after them.
            backward: Takes the backward pass from a scalar, as ``accelerator.backward``.

        Raises:
            UsageError: The batch feeds no objective that has a weight, or a question is too long.
        """
        batch, chunks, reader, counts = self._read(examples, negatives)
        found: dict[str, float] = {}
        if batch.chooses:
            loss = partial(self._contrastive, batch, chunks, counts, found)
            backward_in_chunks(chunks, reader.encode, loss, backward=backward, apart=self._apart)
        else:
            for number, chunk in enumerate(chunks):
                own = reader.encode(chunk).own
                with self._apart() if number < len(chunks) - 1 else nullcontext():
                    if own is not None:
                        backward(own())
        tokens = sum(len(row.tokens) for chunk in chunks for each in chunk for row in each)
        return StepValues(self._values(found, reader), tokens, tuple(example.id for example in examples))

    def evaluate(self, examples: Sequence[Example], negatives: Mapping[str, Sequence[Passage]]) -> dict[str, float]:
        """The losses of a batch, as ``StepValues.losses``, without gradients and without dropout.

        Args:
            examples: The batch.
            negatives: As for ``backward``.

        Raises:
            UsageError: As ``backward``.
        """
        import torch

        batch, chunks, reader, counts = self._read(examples, negatives)
        found: dict[str, float] = {}
        module = self._model.module
        was_training = module.training
        module.eval()
        try:
            with torch.no_grad():
                parts: dict[str, list[Tensor]] = {}
                for chunk in chunks:
                    encoded = reader.encode(chunk)
                    for kind, vectors in encoded.vectors.items():
                        parts.setdefault(kind, []).append(vectors)
                    if encoded.own is not None:
                        encoded.own()
                if batch.chooses:
                    self._contrastive(batch, chunks, counts, found, {kind: torch.cat(each) for kind, each in parts.items()})
        finally:
            module.train(was_training)
        return self._values(found, reader)

    def _read(
        self, examples: Sequence[Example], negatives: Mapping[str, Sequence[Passage]]
    ) -> tuple[Batch, list[list[Pass]], ChunkReader, dict[str, float]]:
        """The batch, in which chunks it is read, what reads them, and what losses are means over."""
        settings = self._settings
        batch = assemble(
            self._writer,
            settings.weights,
            examples,
            negatives,
            most_negatives=settings.negatives,
            earlier_responses=settings.earlier_responses,
        )
        counts = average_counts(batch)
        if not counts:  # in any process: all of them stop
            ids, counted = ", ".join(example.id for example in examples[:3]), [name for name, weight in self._weights.items() if weight]
            raise UsageError(
                f"a batch of {len(examples)} examples (first: {ids or 'none'}) feeds none of the objectives that have a weight: "
                f"{', '.join(counted)}; give the sources these objectives, or the objectives of the sources a weight"
            )
        texts, rows = batch.packed(settings.row_tokens) if settings.packed else batch.plain()
        chunks = whole_batch(texts, rows) if settings.chunk_tokens is None else in_chunks(texts, rows, settings.chunk_tokens)
        return batch, chunks, ChunkReader(self._model, self._weights, counts, settings.label_smoothing), counts

    @property
    def _weights(self) -> dict[str, float]:
        return asdict(self._settings.weights)

    def _contrastive(
        self,
        batch: Batch,
        chunks: Sequence[Sequence[Pass]],
        counts: Mapping[str, float],
        found: dict[str, float],
        vectors: Mapping[str, Tensor],
    ) -> Tensor:
        """The weighted sum of the contrastive objectives; what each was goes to ``found``."""
        orders = {kind: vectors_of(chunks, kind) for kind in vectors}
        loss = choosing_loss(batch, self._settings.weights, self._settings.temperature, in_order(vectors, orders), counts)
        found |= loss.values
        return loss.total

    def _values(self, found: Mapping[str, float], reader: ChunkReader) -> dict[str, float]:
        """Every objective's value, in the order of the weights, and their weighted sum."""
        values = {**found, **{name: float(loss) for name, loss in reader.losses.items()}}
        total = sum(self._weights[name] * value for name, value in values.items())
        return {**{name: values[name] for name in self._weights if name in values}, "total": total}


def _check(model: Trainable, settings: StepSettings) -> None:
    """Refuses what the model cannot do."""
    loaded, weights = model.loaded, settings.weights
    if settings.packed and not can_share(loaded):
        raise UsageError(
            f"{loaded.checkpoint.label}: a conversation is read as one row where attention is causal and pooling is last; found "
            f"{loaded.profile.attention} attention and pooling {loaded.profile.pooling} in a {loaded.checkpoint.model_type} model: "
            "set packed: false"
        )
    if not (weights.response or weights.grounded):
        return
    if not loaded.has_head:
        raise UsageError(
            f"{loaded.checkpoint.label}: it has nothing to write responses with: give 'response' and 'grounded' the weight 0, or set "
            "lm_head: embeddings in its profile"
        )
    if not loaded.takes_positions or loaded.masks_by_place:
        raise UsageError(
            f"{loaded.checkpoint.label}: {loaded.checkpoint.model_type} models cannot be told what a token sees: "
            "give 'response' and 'grounded' the weight 0, or another decoder"
        )
