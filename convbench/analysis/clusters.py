"""Turns grouped by conversation: the sums and counts of each, which is all that clustered statistics need of a column of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convbench.types import conversation_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """The conversation of each turn.

    Attributes:
        names: Conversation ids, sorted, so that draws do not depend on the order of turns.
        index: For each turn, the place of its conversation in ``names``; shape (turns,).
    """

    names: tuple[str, ...]
    index: NDArray[np.intp]

    @classmethod
    def of(cls, turn_ids: Sequence[str]) -> Clusters:
        """The conversations of turns, by the turns' ids."""
        return cls.named([conversation_of(turn_id) for turn_id in turn_ids])

    @classmethod
    def named(cls, names: Sequence[str]) -> Clusters:
        """Clusters from the name of each turn's."""
        places = {name: place for place, name in enumerate(sorted(set(names)))}
        return cls(tuple(places), np.array([places[name] for name in names], dtype=np.intp))

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the turns of each conversation.

        Args:
            values: Shape (turns, columns).

        Returns:
            Shape (conversations, columns).
        """
        shape = len(self.names), values.shape[1]
        cells = self.index[:, None] * shape[1] + np.arange(shape[1])
        summed = np.bincount(cells.ravel(), weights=values.ravel(), minlength=shape[0] * shape[1])
        return np.asarray(summed, dtype=np.float64).reshape(shape)

    def totals(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(sums, counts) of each conversation over the turns that have a value.

        Args:
            values: Shape (turns, columns); NaN where a turn has no value.

        Returns:
            Two arrays of shape (conversations, columns).
        """
        present = ~np.isnan(values)
        return self.sums(np.where(present, values, 0.0)), self.sums(present.astype(np.float64))
