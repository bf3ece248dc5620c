from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.training.passes import PASS_PADDING, PASS_TOKENS, in_chunks, whole_batch
from convbench.training.rows import Branch, Row, Said, Stem, Text, Vector, apart, together
from convbench.training.session_mask import positions, visibility

pytestmark = pytest.mark.slow  # they train, some of them in several processes

TOKEN = st.integers(1, 9)


def tokens(least: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(TOKEN, min_size=least, max_size=most).map(tuple)


@st.composite
def conversations(draw: st.DrawFn) -> list[Stem]:
    stems, trunk = [], draw(tokens(1, 3))
    for number in range(draw(st.integers(1, 5))):
        trunk = draw(st.sampled_from([(*trunk, *draw(tokens(1, 4))), draw(tokens(1, 4))]))
        closing = Branch(draw(tokens(1, 3)), Vector("sessions", number))
        said = draw(tokens(1, 4))
        masked = Branch(said[:-1], Said("response", said), leaves=0)
        grounded = Branch((*draw(tokens(0, 3)), *said[:-1]), Said("grounded", said))
        stems.append(Stem(trunk, (closing, masked, grounded)))
    return stems


def seen(row: Row, place: int) -> list[tuple[int, int]]:
    visible, places = visibility(row.parts)[place], positions(row.parts)
    return sorted((places[other], row.tokens[other]) for other in range(len(row.tokens)) if visible[other])


@given(conversations())
def test_what_is_read_sees_the_same_tokens_at_the_same_positions_packed_and_apart(stems: list[Stem]) -> None:
    packed = together(stems, 10_000)
    vectors, said = {}, []
    for row in packed:
        vectors |= {vector.number: seen(row, place) for place, vector in row.vectors()}
        said += [(each, [seen(row, place) for place in places]) for places, each in row.said()]
    plain = [apart(stem) for stem in stems]
    assert vectors == {text.reads.number: list(enumerate(text.tokens)) for texts, _ in plain for text in texts}
    alone = [(each, [seen(row, place) for place in places]) for _, rows in plain for row in rows for places, each in row.said()]
    assert sorted(said, key=repr) == sorted(alone, key=repr)


@given(conversations())
def test_a_response_is_predicted_by_the_places_just_before_its_tokens(stems: list[Stem]) -> None:
    for stem in stems:
        for row in apart(stem)[1]:
            (places, said), *others = row.said()
            assert not others
            assert places == list(range(len(row.tokens) - len(said.targets), len(row.tokens)))
            assert [row.tokens[place] for place in places[1:]] == list(said.targets[:-1])


def stem(*trunk: int, number: int = 0) -> Stem:
    return Stem(trunk, (Branch((9,), Vector("sessions", number)),))


def test_sessions_share_a_row_as_long_as_each_begins_with_the_one_before() -> None:
    stems = [stem(1, 2), stem(1, 2, 3, 4), stem(1, 2, 3), stem(1, 5, 6, 7, 8)]
    assert [row.tokens for row in together(stems, 100)] == [(1, 2, 3, 4, 9, 9, 9), (1, 5, 6, 7, 8, 9)]
    assert [place for place, _ in together(stems, 100)[0].vectors()] == [4, 5, 6]


def test_trunks_of_two_kinds_do_not_break_each_other_s_rows() -> None:
    stems = [stem(1, *range(2, 2 + n)) for n in range(1, 5)] + [stem(1, 7, *range(2, 2 + n)) for n in range(1, 5)]
    assert [len(row.vectors()) for row in together(stems, 100)] == [4, 4]


def test_a_row_is_broken_before_it_gets_too_long() -> None:
    stems = [stem(1, 2), stem(1, 2, 3), stem(1, 2, 3, 4)]
    assert [len(row.tokens) for row in together(stems, 5)] == [5, 5]
    assert [len(row.tokens) for row in together(stems, 1)] == [3, 4, 5]


def test_a_stem_that_nothing_is_read_off_makes_no_row() -> None:
    assert together([Stem((1, 2), ())], 10) == []
    assert apart(Stem((1, 2), ())) == ([], [])


def test_closing_tokens_that_are_not_read_are_there_for_the_response() -> None:
    only = Stem((1, 2, 3), (Branch((8, 9), None), Branch((4,), Said("response", (4, 5)), leaves=0)))
    texts, rows = apart(only)
    assert not texts
    assert rows[0].tokens == (1, 2, 3, 8, 9, 4) == together([only], 10)[0].tokens
    assert rows[0].said() == [([4, 5], Said("response", (4, 5)))]
    assert not visibility(rows[0].parts)[5, :3].any()


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_every_row_is_in_one_pass_and_passes_hold_no_more_than_asked(size: int) -> None:
    texts = [Text((1,) * length, Vector(kind, length)) for kind in ("passages", "responses") for length in (3, 1, 5)]
    rows = together([stem(1, 2), stem(3, 4, 5)], 10)
    chunks = in_chunks(texts, rows, size)
    assert all(len(chunk) == 1 for chunk in chunks)
    assert all(len(each) == 1 or len(each) * max(len(row.tokens) for row in each) <= size for [each] in chunks)
    assert sorted((row for [each] in chunks for row in each), key=repr) == sorted([*texts, *rows], key=repr)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_a_whole_batch_is_one_chunk_with_little_padding(lengths: list[int]) -> None:
    texts = [Text((1,) * length, Vector("passages", number)) for number, length in enumerate(lengths)]
    rows = together([stem(1, 2), stem(3, 4, 5)], 10)
    [passes] = whole_batch(texts, rows)
    assert sorted((row for each in passes for row in each), key=repr) == sorted([*texts, *rows], key=repr)
    for each in passes:
        sizes = [len(row.tokens) for row in each]
        assert max(sizes) * len(sizes) - sum(sizes) <= PASS_PADDING
        assert max(sizes) * len(sizes) <= PASS_TOKENS
