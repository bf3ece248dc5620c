from __future__ import annotations

from itertools import chain

import torch
from hypothesis import given
from hypothesis import strategies as st

from convbench.training.blocks import LEAST, MOST, blocks, side_by_side, visible
from convbench.training.session_mask import Part, positions, visibility


@st.composite
def rows(draw: st.DrawFn) -> tuple[Part, ...]:
    """Parts that see any beginnings of any earlier ones."""
    parts = [Part(draw(st.integers(1, 2 * MOST + 90)))]
    for number in range(1, draw(st.integers(1, 9))):
        seen = sorted(draw(st.sets(st.integers(0, number - 1), max_size=2)))
        sees = tuple((each, draw(st.integers(0, parts[each].length))) for each in seen)
        parts.append(Part(draw(st.integers(0, LEAST + 30)), sees))
    return tuple(parts)


def conversation(turns: int) -> list[Part]:
    """A trunk of 20 tokens a turn; of each turn a closing token and a response to a passage."""
    parts = [Part(20 * turns)]
    for turn in range(1, turns + 1):
        parts += [Part(1, ((0, 20 * turn),)), Part(110, ((0, 20 * turn),))]
    return parts


@given(rows())
def test_blocks_have_every_token_once_and_see_what_it_sees(parts: tuple[Part, ...]) -> None:
    wanted = visibility(parts)
    found = torch.zeros_like(wanted)
    places: list[int] = []
    for block, keys, seen in visible(parts):
        own = range(*block.own)
        places += own
        assert keys.tolist() == [*chain.from_iterable(range(*run) for run in (*block.seen, block.own))]
        assert len(set(keys.tolist())) == len(keys) == block.keys
        assert seen.shape == (block.queries, block.keys)
        assert seen[:, : block.keys - block.queries].any(dim=0).all()  # no earlier key is there for nothing
        found[block.own[0] : block.own[1], keys] = seen
    assert places == [*range(len(wanted))]
    assert torch.equal(found, wanted)
    assert [block for block, _, _ in visible(parts)] == blocks(parts)


@given(rows())
def test_blocks_are_neither_small_nor_large(parts: tuple[Part, ...]) -> None:
    cut = blocks(parts)
    assert all(each.queries < LEAST + MOST for each in cut)
    assert sum(each.queries < LEAST for each in cut) <= 1 + sum(not part.sees for part in parts)


@given(st.lists(rows(), min_size=1, max_size=3))
def test_rows_side_by_side_see_nothing_of_each_other(several: list[tuple[Part, ...]]) -> None:
    joined = side_by_side(several)
    assert torch.equal(visibility(joined), torch.block_diag(*map(visibility, several)).bool())
    assert positions(joined) == [*chain.from_iterable(map(positions, several))]


def test_a_packed_conversation_has_a_fraction_of_the_scores() -> None:
    parts = conversation(8)
    tokens = sum(part.length for part in parts)
    cut = blocks(parts)
    assert [block.queries for block in cut] == [160, *[111] * 8]
    assert [block.seen for block in cut] == [(), *(((0, 20 * turn),) for turn in range(1, 9))]
    assert sum(block.queries * block.keys for block in cut) < tokens**2 / 4


def test_a_long_trunk_is_cut() -> None:
    assert [(block.own, block.seen) for block in blocks([Part(600)])] == [
        ((0, 256), ()),
        ((256, 512), ((0, 256),)),
        ((512, 600), ((0, 512),)),
    ]
