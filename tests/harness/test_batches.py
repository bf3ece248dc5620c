"""Batches are a fixed partition of the turns, by turns or by whole conversations."""

from __future__ import annotations

from itertools import chain

import pytest

from convbench.harness.plan import split_batches
from convbench.types import Turn

TURNS = [Turn(id_, "who") for id_ in ("1_1", "1_2", "a_b_1", "a_b_2", "a_b_3", "a_c_1", "4_2", "4_3")]


def ids(batches: tuple[tuple[Turn, ...], ...]) -> list[list[str]]:
    return [[turn.id for turn in batch] for batch in batches]


def test_turns() -> None:
    assert ids(split_batches(TURNS, 3)) == [["1_1", "1_2", "a_b_1"], ["a_b_2", "a_b_3", "a_c_1"], ["4_2", "4_3"]]


def test_whole_conversations() -> None:
    assert ids(split_batches(TURNS, 1, "conversation")) == [["1_1", "1_2"], ["a_b_1", "a_b_2", "a_b_3"], ["a_c_1"], ["4_2", "4_3"]]
    assert ids(split_batches(TURNS, 3, "conversation")) == [["1_1", "1_2", "a_b_1", "a_b_2", "a_b_3", "a_c_1"], ["4_2", "4_3"]]


@pytest.mark.parametrize("unit", ["turn", "conversation"])
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_every_turn_is_in_one_batch_in_order(unit, size) -> None:
    assert list(chain.from_iterable(split_batches(TURNS, size, unit))) == TURNS
    assert split_batches([], size, unit) == ()
