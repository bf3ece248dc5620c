"""The order in which examples are drawn: by the sources' weights, decided by the seed and the number of the draw, nothing else.

A source is gone through completely before anything of it comes again, in an order that changes from epoch to epoch. Which source comes
next is no dice roll: the one that is furthest behind its share is drawn from (Sainte-Laguë's method), so that every stretch of the stream,
and so every batch, holds the sources in the proportion of their weights. To resume, the stream is begun again and passed over: that costs
microseconds a draw, and no state has to be saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, islice
from math import lcm
from typing import TypeAlias

from convbench.datasets.selection import hash_order
from convbench.errors import UsageError
from convbench.training.data.examples import Example
from convbench.training.data.sources import Source

Unit: TypeAlias = tuple[Example, ...]
"""What is drawn at once: a turn, or the turns of a conversation in order."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The units of one source.

    Attributes:
        name: The source's name.
        weight: Its weight, above 0.
        units: At least one unit; none is empty.
    """

    name: str
    weight: float
    units: tuple[Unit, ...]


def turn_pools(sources: Sequence[Source]) -> list[Pool]:
    """Every example by itself."""
    return [Pool(source.spec.name, source.spec.weight, tuple((example,) for example in source.examples)) for source in sources]


def conversation_pools(sources: Sequence[Source], most: int) -> list[Pool]:
    """The examples of a conversation together, in order, so that one pass can encode all its sessions.

    Args:
        sources: The sources.
        most: Longest unit, in examples; a longer conversation is cut into pieces of turns that follow each other.
    """
    if most < 1:
        raise UsageError(f"a batch of {most} examples: expected 1 at least")
    return [Pool(source.spec.name, source.spec.weight, tuple(_pieces(source.examples, most))) for source in sources]


def draws(pools: Sequence[Pool], seed: int, start: int = 0) -> Iterator[Unit]:
    """The endless stream of units.

    After every draw the number of examples from a source is within a unit or two of its weight's share. With ``turn_pools`` any
    ``len(units)`` draws from a source that begin at an epoch hold each of its examples once.

    Args:
        pools: The sources' units; their order breaks ties.
        seed: Another seed, another order.
        start: Number of draws to pass over; the stream goes on exactly as one that was never stopped.
    """
    return islice(_stream(pools, seed), start, None)


def batches(pools: Sequence[Pool], seed: int, size: int, start: int = 0) -> Iterator[tuple[Unit, ...]]:
    """The stream in batches of at most ``size`` examples: units are added as long as the next one fits; none is broken or skipped.

    Turns fill every batch. Conversations leave some of it empty.

    Args:
        pools: The sources' units, none longer than ``size``.
        seed: As in ``draws``.
        size: Most examples in a batch.
        start: Number of batches to pass over.

    Raises:
        UsageError: A unit is longer than a batch.
    """
    longest = max((len(unit) for pool in pools for unit in pool.units), default=0)
    if longest > size:
        raise UsageError(f"a batch of {size} examples cannot hold a unit of {longest}: cut conversations to the batch size")
    return islice(_packed(_stream(pools, seed), size), start, None)


def _stream(pools: Sequence[Pool], seed: int) -> Iterator[Unit]:
    weights = [Fraction(str(pool.weight)) for pool in pools]
    if not pools or min(weights) <= 0 or not all(pool.units for pool in pools):
        raise UsageError("nothing to draw from: expected sources with examples and weights above 0")
    scale = lcm(*(weight.denominator for weight in weights))
    shares = [int(weight * scale) for weight in weights]  # whole numbers: sums of floats would drift
    strides = [lcm(*shares) // share for share in shares]
    drawn = [0] * len(pools)
    orders = [_epochs(pool, seed) for pool in pools]
    while True:
        behind = min(range(len(pools)), key=lambda index: (2 * drawn[index] + 1) * strides[index])
        unit = next(orders[behind])
        drawn[behind] += len(unit)
        yield unit


def _epochs(pool: Pool, seed: int) -> Iterator[Unit]:
    units = {unit[0].id: unit for unit in pool.units}
    epoch = 0
    while True:
        for id_ in hash_order(units, f"{seed}:{pool.name}:{epoch}"):
            yield units[id_]
        epoch += 1


def _packed(units: Iterator[Unit], size: int) -> Iterator[tuple[Unit, ...]]:
    batch: list[Unit] = []
    filled = 0
    for unit in units:
        if filled + len(unit) > size:
            yield tuple(batch)
            batch, filled = [], 0
        batch.append(unit)
        filled += len(unit)
        if filled == size:
            yield tuple(batch)
            batch, filled = [], 0


def _pieces(examples: Sequence[Example], most: int) -> Iterator[Unit]:
    for _, group in groupby(examples, key=lambda example: example.conversation):
        turns = tuple(group)
        yield from (turns[start : start + most] for start in range(0, len(turns), most))
