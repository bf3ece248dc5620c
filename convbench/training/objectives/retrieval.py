"""``L_R``: a session finds its passage among those of the batch, of other processes, and hard negatives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from convbench.training.objectives.contrastive import contrastive_loss, matches

if TYPE_CHECKING:
    from torch import Tensor


def retrieval_loss(sessions: Tensor, passages: Tensor, positives: Tensor, *, allowed: Tensor | None = None, temperature: float) -> Tensor:
    """Conversational dense retrieval, ``L_R`` of UniConv (Mo et al. 2025): ``contrastive_loss`` of sessions against passages.

    Args:
        sessions: Vectors of the sessions, shape (n, d).
        passages: Vectors of the passages, shape (m, d): the sessions' own, then hard negatives, then what ``gathered`` brings from other
            processes.
        positives: The row of each session's passage, shape (n,).
        allowed: ``~false_negatives(...)``, shape (n, m); None: every other passage is a negative.
        temperature: ``tau``; ChatRetriever has 0.01.

    Returns:
        A scalar in float32, the mean over the sessions.
    """
    return contrastive_loss(sessions, passages, positives, allowed=allowed, temperature=temperature)


def false_negatives(gold: Sequence[Collection[str]], copies: Mapping[str, str] | None, passage_ids: Sequence[str]) -> Tensor:
    """Which passages are no negatives of a turn: its gold, and copies of its gold.

    A turn's own passage is marked too; ``retrieval_loss`` keeps it all the same.

    Args:
        gold: For each turn the ids of all its gold passages.
        copies: Passage id -> the id that stands for all passages of the same text; one that is not named stands for itself. None: no
            passage has a copy.
        passage_ids: Of the passages, in the order of their vectors.

    Returns:
        Booleans on the CPU, shape (turns, passages).
    """
    same = copies or {}
    right = [{same.get(id_, id_) for id_ in ids} for ids in gold]
    return matches(right, [same.get(id_, id_) for id_ in passage_ids])
