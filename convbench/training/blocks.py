"""A row cut into blocks of tokens, each with the few earlier tokens that it sees.

In a packed conversation most tokens do not see most others: a branch sees the beginning of its trunk and itself. Attention over the whole
row computes all scores and throws most of them away, which grows with the square of all tokens; attention block by block computes those of
a block's tokens with what at least one of them sees. Rows that stand side by side see nothing of each other, so several are cut as one, and
nothing is padded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convbench.training.session_mask import Part, starts

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 64
"""Tokens from which a block is closed: below, what a call of attention costs is worth more than the scores that are saved."""

MOST = 256
"""Tokens after which a long part goes on in another block: its later half then is no key of the earlier one."""

Run = tuple[int, int]
"""Tokens that follow each other: the place of the first, and the place after the last."""


@dataclass(frozen=True, slots=True)
class Block:
    """Tokens whose attention is computed at once.

    Attributes:
        own: Their places in the row.
        seen: Earlier places of which at least one of them sees every run, in order and apart. Keys are these, then ``own``.
    """

    own: Run
    seen: tuple[Run, ...]

    @property
    def queries(self) -> int:
        """Tokens of the block."""
        return self.own[1] - self.own[0]

    @property
    def keys(self) -> int:
        """Tokens that are compared with each."""
        return sum(end - first for first, end in (*self.seen, self.own))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Tokens of one part, at most ``MOST``, and all that they see: earlier runs, and themselves as far as they stand before."""

    own: Run
    sees: tuple[Run, ...]


def side_by_side(rows: Iterable[Sequence[Part]]) -> list[Part]:
    """The parts of several rows as those of one, in which they see nothing of each other."""
    joined: list[Part] = []
    for parts in rows:
        before = len(joined)
        joined += [replace(part, sees=tuple((before + number, seen) for number, seen in part.sees)) for part in parts]
    return joined


def blocks(parts: Sequence[Part]) -> list[Block]:
    """Cuts a row: all its tokens, in order.

    A block holds parts that follow each other until it has ``LEAST`` tokens; a long trunk begins one of its own, as it need not be compared
    with what the branches before it see.

    Args:
        parts: The row.
    """
    return [_block(group) for group in _groups(parts)]


def visible(parts: Sequence[Part]) -> Iterator[tuple[Block, Tensor, Tensor]]:
    """Each block, its keys' places, and which of its tokens sees which key: what ``session_mask.visibility`` has there.

    Args:
        parts: The row.

    Yields:
        Block, shape (keys,), booleans of shape (queries, keys).
    """
    import torch

    for group in _groups(parts):
        block = _block(group)
        keys = torch.cat([torch.arange(*run) for run in (*block.seen, block.own)])
        seen = torch.zeros(block.queries, block.keys, dtype=torch.bool)
        for piece in group:
            rows = slice(piece.own[0] - block.own[0], piece.own[1] - block.own[0])
            for first, end in piece.sees:
                seen[rows] |= (keys >= first) & (keys < end)
            seen[rows] |= (keys >= piece.own[0]) & (keys <= torch.arange(*piece.own).unsqueeze(1))
        yield block, keys, seen


def _groups(parts: Sequence[Part]) -> Iterator[list[_Piece]]:
    group: list[_Piece] = []
    tokens = 0
    for piece in _pieces(parts):
        size = piece.own[1] - piece.own[0]
        if tokens >= LEAST or (group and size >= LEAST and not piece.sees):
            yield group
            group, tokens = [], 0
        group.append(piece)
        tokens += size
    if group:
        yield group


def _pieces(parts: Sequence[Part]) -> Iterator[_Piece]:
    first = starts(parts)
    for start, part in zip(first, parts, strict=True):
        sees = [(first[number], first[number] + seen) for number, seen in part.sees if seen]
        for place in range(start, start + part.length, MOST):
            before = [(start, place)] if place > start else []
            yield _Piece((place, min(place + MOST, start + part.length)), (*sees, *before))


def _block(group: Sequence[_Piece]) -> Block:
    own = (group[0].own[0], group[-1].own[1])
    seen: list[Run] = []
    for first, end in sorted({(first, min(end, own[0])) for piece in group for first, end in piece.sees if first < own[0]}):
        if seen and first <= seen[-1][1]:
            seen[-1] = (seen[-1][0], max(seen[-1][1], end))
        else:
            seen.append((first, end))
    return Block(own, tuple(seen))
