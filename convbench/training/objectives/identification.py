"""``L_CII``: a session with its gold passage knows the right response from wrong ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from convbench.training.objectives.contrastive import contrastive_loss, matches

if TYPE_CHECKING:
    from torch import Tensor


def identification_loss(
    contexts: Tensor, responses: Tensor, positives: Tensor, *, allowed: Tensor | None = None, temperature: float
) -> Tensor:
    """Context identification instruction, ``L_CII`` of UniConv (Mo et al. 2025): ``contrastive_loss`` of contexts against responses.

    Args:
        contexts: Vectors of instruction, session and gold passage read together, shape (n, d).
        responses: Vectors of the responses, shape (m, d): the contexts' own, then those of other turns, then those of other processes.
        positives: The row of each context's response, shape (n,).
        allowed: ``~same_responses(...)``, shape (n, m); None: every other response is wrong.
        temperature: ``tau``.

    Returns:
        A scalar in float32, the mean over the contexts.
    """
    return contrastive_loss(contexts, responses, positives, allowed=allowed, temperature=temperature)


def same_responses(gold: Sequence[Collection[str]], texts: Sequence[str]) -> Tensor:
    """Which responses are not wrong for a turn: those whose text is one of its gold responses. "Yes" answers many turns.

    Case and blanks make no difference.

    Args:
        gold: For each turn the texts of all its gold responses.
        texts: Of the responses, in the order of their vectors.

    Returns:
        Booleans on the CPU, shape (turns, responses).
    """
    return matches([{_plain(text) for text in own} for own in gold], [_plain(text) for text in texts])


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
