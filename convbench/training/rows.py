"""What the model reads to learn from: rows of tokens, and what is read off them.

A turn is a stem: a trunk, such as its session, and branches that leave it. Either every branch is a row of its own, or the stems of a
conversation share rows, each trunk being the beginning of the next one. Both give the same hidden states, as what a token sees and where it
stands are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from convbench.training.session_mask import Part, predicting, starts

Tokens: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Vector:
    """An embedding that is read.

    Attributes:
        kind: Of what: ``sessions``, ``passages``, ``contexts`` or ``responses``.
        number: Which of the batch's.
    """

    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class Said:
    """A response that is predicted.

    Attributes:
        objective: What its likelihood counts for: ``response`` or ``grounded``.
        targets: Its tokens, at least one.
    """

    objective: str
    targets: Tokens


@dataclass(frozen=True, slots=True)
class Branch:
    """Tokens that leave a trunk at its end, or another branch at its end.

    Attributes:
        tokens: The tokens; may be none, where a response of one token follows another branch.
        reads: What is read off them; None: another branch only passes through. A vector is read at the last token; a response's tokens are
            predicted by the last ones, the token before the branch included.
        leaves: The number of the stem's branch that it goes on from and that is all it sees; None: the trunk.
    """

    tokens: Tokens
    reads: Vector | Said | None
    leaves: int | None = None


@dataclass(frozen=True, slots=True)
class Stem:
    """A trunk with its branches.

    Attributes:
        trunk: Tokens that all branches follow, at least one.
        branches: The branches; one that is left by another stands before it.
        skip: Tokens at the start that mean pooling leaves out.
    """

    trunk: Tokens
    branches: tuple[Branch, ...]
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """A row that is encoded as at inference: with the profile's attention and pooling.

    Attributes:
        tokens: Opening and closing tokens included.
        reads: Its embedding.
        skip: Tokens at the start that are not pooled.
    """

    tokens: Tokens
    reads: Vector
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is read with a mask of its own.

    Attributes:
        tokens: The tokens of all parts.
        parts: What they see.
        reads: What is read off which part: (number of the part, what).
    """

    tokens: Tokens
    parts: tuple[Part, ...]
    reads: tuple[tuple[int, Vector | Said], ...]

    def vectors(self) -> list[tuple[int, Vector]]:
        """The place of each vector in the row, in reading order."""
        first = starts(self.parts)
        return [(first[part] + self.parts[part].length - 1, read) for part, read in self.reads if isinstance(read, Vector)]

    def said(self) -> list[tuple[list[int], Said]]:
        """The places that predict each response's tokens, in reading order."""
        return [(predicting(self.parts, part)[-len(read.targets) :], read) for part, read in self.reads if isinstance(read, Said)]


def apart(stem: Stem) -> tuple[list[Text], list[Row]]:
    """Every branch that something is read off as a row of its own: vectors as texts, responses as rows with a mask."""
    texts, rows = [], []
    for branch in stem.branches:
        if isinstance(branch.reads, Vector):
            texts.append(Text((*stem.trunk, *branch.tokens), branch.reads, stem.skip))
        elif branch.reads is not None:
            left = () if branch.leaves is None else (Branch(stem.branches[branch.leaves].tokens, None),)
            rows.append(_row([Stem(stem.trunk, (*left, Branch(branch.tokens, branch.reads, 0 if left else None)))]))
    return texts, rows


def together(stems: Sequence[Stem], longest: int) -> list[Row]:
    """The stems of a conversation in as few rows as their trunks allow: each goes on from a row whose longest trunk begins its own.

    Args:
        stems: The stems, in any order.
        longest: Tokens of a row after which another one is begun; a stem that is longer gets a row of its own.
    """
    runs: list[list[Stem]] = []
    for stem in sorted((each for each in stems if each.branches), key=lambda each: len(each.trunk)):
        fitting = [run for run in runs if _nests(run[-1], stem) and _size([*run, stem]) <= longest]
        if fitting:
            fitting[-1].append(stem)
        else:
            runs.append([stem])
    return [_row(run) for run in runs]


def _nests(shorter: Stem, longer: Stem) -> bool:
    return longer.trunk[: len(shorter.trunk)] == shorter.trunk


def _size(run: Sequence[Stem]) -> int:
    return len(run[-1].trunk) + sum(len(branch.tokens) for stem in run for branch in stem.branches)


def _row(run: Sequence[Stem]) -> Row:
    """One row: the longest trunk, then the branches of all stems."""
    tokens, parts = list(run[-1].trunk), [Part(len(run[-1].trunk))]
    reads: list[tuple[int, Vector | Said]] = []
    firsts = accumulate((len(stem.branches) for stem in run), initial=1)
    for stem, first in zip(run, firsts, strict=False):
        for branch in stem.branches:
            left, part = (stem.trunk, 0) if branch.leaves is None else (stem.branches[branch.leaves].tokens, first + branch.leaves)
            if branch.reads is not None:
                reads.append((len(parts), branch.reads))
            parts.append(Part(len(branch.tokens), ((part, len(left)),)))
            tokens += branch.tokens
    return Row(tuple(tokens), tuple(parts), tuple(reads))
