"""A chunk of rows through the model: vectors, and the loss of the responses in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from convbench.training.chunked_gradients import Encoded
from convbench.training.objectives.response import per_token, response_loss
from convbench.training.passes import Pass
from convbench.training.rows import Row, Said, Text, Vector
from convbench.training.trainable import Trainable

if TYPE_CHECKING:
    from torch import Tensor


class ChunkReader:
    """Reads the chunks of one batch.

    Args:
        model: What is tuned.
        weights: Of ``response`` and ``grounded``.
        tokens: Objective -> tokens that the batch predicts for it: what its loss is the mean over (``average_counts``).
        label_smoothing: Of the loss.

    Attributes:
        losses: Objective -> its loss so far, without a graph and not weighted.
    """

    def __init__(self, model: Trainable, weights: Mapping[str, float], tokens: Mapping[str, float], label_smoothing: float) -> None:
        self._model, self._weights, self._tokens, self._label_smoothing = model, weights, tokens, label_smoothing
        self.losses: dict[str, Tensor] = {}

    def encode(self, chunk: Sequence[Pass]) -> Encoded:
        """The chunk's vectors, each kind's in the order of ``vectors_of``, and what computes its responses' weighted loss.

        A pass that holds no vectors is read only when its loss is asked for.
        """
        import torch

        vectors: dict[str, list[Tensor]] = {}
        own: list[partial[Tensor]] = []
        for each in chunk:
            texts, rows = _texts(each), _rows(each)
            if texts:
                found = self._model.through(partial(self._model.encoded, texts))
                _sort_in(vectors, [text.reads for text in texts], found)
                continue
            states = None
            if any(row.vectors() for row in rows):
                states = self._model.through(partial(self._model.states, rows))
                places = [(index, place) for index, row in enumerate(rows) for place, _ in row.vectors()]
                pooled = states[[index for index, _ in places], [place for _, place in places]]
                _sort_in(vectors, _reads(rows), self._model.through(partial(self._model.finished, pooled)))
            if any(row.said() for row in rows):
                own.append(partial(self._said, rows, states))
        joined = {kind: torch.stack(each) for kind, each in vectors.items()}
        return Encoded(joined, partial(self._total, own) if own else None)

    def _total(self, own: Sequence[partial[Tensor]]) -> Tensor:
        import torch

        return torch.stack([each() for each in own]).sum()

    def _said(self, rows: Sequence[Row], states: Tensor | None) -> Tensor:
        return self._model.through(partial(self._weighted, rows, states))

    def _weighted(self, rows: Sequence[Row], states: Tensor | None) -> Tensor:
        """The weighted loss of the responses of a pass."""
        import torch

        hidden = self._model.states(rows) if states is None else states
        spoken = [(index, places, said) for index, row in enumerate(rows) for places, said in row.said()]
        losses = []
        for objective in dict.fromkeys(said.objective for *_, said in spoken):
            own = [(index, places, said) for index, places, said in spoken if said.objective == objective]
            losses.append(self._weights[objective] * self._loss(objective, hidden, own))
        return torch.stack(losses).sum()

    def _loss(self, objective: str, hidden: Tensor, own: Sequence[tuple[int, list[int], Said]]) -> Tensor:
        import torch

        at = torch.tensor([(index, place) for index, places, _ in own for place in places], device=hidden.device)
        targets = torch.tensor([token for *_, said in own for token in said.targets], device=hidden.device)
        weights = per_token([len(said.targets) for *_, said in own], self._tokens[objective])
        predicting = hidden[at[:, 0], at[:, 1]]
        loss = response_loss(predicting, targets, self._model.logits, weights=weights, label_smoothing=self._label_smoothing)
        self.losses[objective] = self.losses.get(objective, 0) + loss.detach()
        return loss


def vectors_of(chunks: Sequence[Sequence[Pass]], kind: str) -> list[int]:
    """The numbers of the vectors of a kind, in the order in which the chunks give them."""
    passes = [each for chunk in chunks for each in chunk]
    reads = [read for each in passes for read in (*(text.reads for text in _texts(each)), *_reads(_rows(each)))]
    return [read.number for read in reads if read.kind == kind]


def _texts(each: Pass) -> list[Text]:
    return [row for row in each if isinstance(row, Text)]


def _rows(each: Pass) -> list[Row]:
    return [row for row in each if isinstance(row, Row)]


def _reads(rows: Sequence[Row]) -> list[Vector]:
    return [read for row in rows for _, read in row.vectors()]


def _sort_in(vectors: dict[str, list[Tensor]], reads: Sequence[Vector], found: Tensor) -> None:
    for read, vector in zip(reads, found, strict=True):
        vectors.setdefault(read.kind, []).append(vector)
