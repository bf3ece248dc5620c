from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training.lone_rows import evidence_visible, session_masked

from convbench.backends.decoder import Reading, visible_keys
from convbench.backends.trunk import Trunk
from convbench.training.session_mask import Part, positions, predicting, visibility

LENGTH = st.integers(0, 7)
SOME = st.integers(1, 7)


def drawn(parts: tuple[Part, ...]) -> list[str]:
    return ["".join("x" if seen else "." for seen in row) for row in visibility(parts).tolist()]


def test_position_by_position() -> None:
    row = session_masked(session=3, closing=2, response=3)
    assert drawn(row) == [
        "x.......",
        "xx......",
        "xxx.....",
        "xxxx....",
        "xxxxx...",  # the last closing token: sees the session, predicts the first response token
        "...xxx..",  # the first response token: no longer sees the session
        "...xxxx.",
        "...xxxxx",
    ]
    assert positions(row) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert predicting(row, 2) == [4, 5, 6, 7]


@given(SOME, SOME, LENGTH)
def test_the_session_mask_is_that_of_a_loop(session: int, closing: int, response: int) -> None:
    visible = visibility(session_masked(session, closing, response))
    size = session + closing + response
    assert visible.shape == (size, size)
    for query in range(size):
        for key in range(size):
            in_response, of_session = query >= session + closing, key < session
            assert bool(visible[query, key]) == (key <= query and not (in_response and of_session))


@given(SOME, SOME, LENGTH)
def test_the_row_right_after_the_closing_tokens_does_not_see_the_session(session: int, closing: int, response: int) -> None:
    visible = visibility(session_masked(session, closing, response + 1))
    assert not visible[session + closing, :session].any()
    assert visible[session + closing, session : session + closing].all()
    assert visible[session + closing - 1, : session + closing].all()


@given(LENGTH, LENGTH, LENGTH, LENGTH)
def test_the_branch_with_evidence_is_an_ordinary_decoder(session: int, passages: int, cue: int, response: int) -> None:
    row = evidence_visible(session, passages, cue, response)
    size = session + passages + cue + response
    assert visibility(row).tolist() == [[key <= query for key in range(size)] for query in range(size)]
    assert positions(row) == list(range(size))
    if session + passages + cue:
        assert predicting(row, 3) == list(range(size - response - 1, size))


@given(st.lists(SOME, min_size=1, max_size=4), st.integers(1, 3), st.integers(0, 5))
def test_a_trunk_with_branches_is_what_inference_reads(turns: list[int], closing: int, known: int) -> None:
    ends = [sum(turns[: number + 1]) for number in range(len(turns))]
    known = min(known, ends[0])
    tokens = tuple(range(ends[-1]))
    reading = Reading(tokens, tuple(ends), (99,) * closing, Trunk(tokens[:known], ()))
    row = (Part(ends[-1]), *(Part(closing, ((0, end),)) for end in ends))
    assert visibility(row)[known:].tolist() == visible_keys([reading])[0].tolist()
    assert positions(row)[known:] == reading.positions()


def conversation(turns: list[tuple[int, int, int]], closing: int) -> tuple[tuple[Part, ...], list[int]]:
    """A trunk; and for each turn (length, evidence, response) closing tokens, a masked response, evidence and a response to it."""
    ends, parts = [], [Part(sum(turn for turn, _, _ in turns))]
    for turn, evidence, response in turns:
        ends.append((ends[-1] if ends else 0) + turn)
        first = len(parts)
        parts += [
            Part(closing, ((0, ends[-1]),)),
            Part(response, ((first, closing),)),
            Part(evidence, ((0, ends[-1]),)),
            Part(response, ((0, ends[-1]), (first + 2, evidence))),
        ]
    return tuple(parts), ends


@given(st.lists(st.tuples(SOME, SOME, LENGTH), min_size=1, max_size=4), st.integers(1, 3))
def test_in_a_packed_conversation_each_branch_is_the_row_it_would_be_alone(turns: list[tuple[int, int, int]], closing: int) -> None:
    parts, ends = conversation(turns, closing)
    visible, places = visibility(parts), positions(parts)
    starts = [sum(part.length for part in parts[:number]) for number in range(len(parts))]

    def tokens(number: int, count: int | None = None) -> list[int]:
        return list(range(starts[number], starts[number] + (parts[number].length if count is None else count)))

    for turn, (end, (_, evidence, response)) in enumerate(zip(ends, turns, strict=True)):
        first = 1 + 4 * turn
        masked = [*tokens(0, end), *tokens(first), *tokens(first + 1)]
        alone = session_masked(end, closing, response)
        assert visible[masked][:, masked].tolist() == visibility(alone).tolist()
        assert [places[token] for token in masked] == positions(alone)
        assert predicting(parts, first + 1) == [masked[place] for place in predicting(alone, 2)]
        grounded = [*tokens(0, end), *tokens(first + 2), *tokens(first + 3)]
        plain = evidence_visible(end, evidence, 0, response)
        assert visible[grounded][:, grounded].tolist() == visibility(plain).tolist()
        assert [places[token] for token in grounded] == positions(plain)
        assert predicting(parts, first + 3) == [grounded[place] for place in predicting(plain, 3)]
        for branch, row in ((tokens(first + 1), masked), (tokens(first + 3), grounded)):
            outside = sorted({*range(len(places))} - {*row})
            assert not visible[branch][:, outside].any()


def test_a_response_of_one_token_is_predicted_by_the_last_closing_token() -> None:
    assert predicting(session_masked(4, 3, 0), 2) == [6]


@pytest.mark.parametrize("row", [session_masked(2, 1, 2), evidence_visible(2, 3, 1, 2)])
def test_every_token_sees_itself(row: tuple[Part, ...]) -> None:
    assert visibility(row).diagonal().all()
