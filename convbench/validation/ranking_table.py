"""The rankings of a run as columns, some 40 bytes an entry, so that a big run is checked at once and in little memory."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from convbench.retrieval.canonical import LARGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_RANK = -(1 << 62)
"""Stands for a rank that could not be read."""


class RankingTable:
    """Rankings entry by entry, in file order.

    Attributes:
        turns: Turn id -> its number, in the order in which turns appear, also those without entries.
        lines: The line where each turn first appears.
        passages: Passage id -> its number.
        spoilt: Turns with an entry that was not understood: their ranks and depth say nothing.
    """

    def __init__(self) -> None:
        self.turns: dict[str, int] = {}
        self.lines: list[int] = []
        self.passages: dict[str, int] = {}
        self.spoilt: set[str] = set()
        self._whole: tuple[array[int], ...] = tuple(array("q") for _ in range(4))
        self._scores = array("d")

    def turn(self, turn_id: str, line: int) -> tuple[int, bool]:
        """A turn's number, and whether it is new."""
        number = self.turns.setdefault(turn_id, len(self.lines))
        new = number == len(self.lines)
        if new:
            self.lines.append(line)
        return number, new

    def add(self, turn: int, passage_id: str, rank: int, score: float, line: int) -> None:
        """Adds an entry; a score that is no finite 32-bit number is kept as NaN, which no comparison counts."""
        turns, passages, ranks, lines = self._whole
        turns.append(turn)
        passages.append(self.passages.setdefault(passage_id, len(self.passages)))
        ranks.append(rank)
        lines.append(line)
        self._scores.append(score if abs(score) <= LARGEST else math.nan)

    def line_of(self, passage_id: str) -> int:
        """The line where a passage first appears."""
        _, passages, _, lines = self._whole
        return lines[passages.index(self.passages[passage_id])]

    def columns(self) -> Columns:
        """The entries so far, sorted by turn, else in file order."""
        turn, passage, rank, line = (np.array(column, dtype=np.int64) for column in self._whole)
        order = np.argsort(turn, kind="stable")
        score = np.array(self._scores, dtype=np.float64)
        return Columns(turn[order], passage[order], rank[order], score[order], line[order])


@dataclass(frozen=True)
class Columns:
    """Entries sorted by turn."""

    turn: NDArray[np.int64]
    passage: NDArray[np.int64]
    rank: NDArray[np.int64]
    score: NDArray[np.float64]
    line: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.turn)

    def where(self, mask: NDArray[np.bool_]) -> Columns:
        """Some of the entries."""
        return Columns(self.turn[mask], self.passage[mask], self.rank[mask], self.score[mask], self.line[mask])

    def ordered_by(self, column: Literal["passage", "rank", "score"]) -> Columns:
        """The entries of each turn sorted by a column, rising, else in file order."""
        order = np.lexsort((getattr(self, column), self.turn))
        return Columns(self.turn[order], self.passage[order], self.rank[order], self.score[order], self.line[order])

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where each turn begins."""
        return np.flatnonzero(np.r_[True, self.turn[1:] != self.turn[:-1]]) if len(self) else np.array([], dtype=np.intp)

    @cached_property
    def sizes(self) -> NDArray[np.intp]:
        """How many entries each turn has."""
        return np.diff(np.append(self.starts, len(self)))

    @cached_property
    def follows(self) -> NDArray[np.bool_]:
        """Of every entry but the first, whether the one before it is of the same turn."""
        same: NDArray[np.bool_] = self.turn[1:] == self.turn[:-1]
        return same
