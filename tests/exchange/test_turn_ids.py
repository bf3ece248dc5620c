"""Patterns that name turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import UsageError
from convbench.exchange.turn_ids import OWN, TurnId, TurnIds
from tests.exchange.runs import turn_ids

PATTERNS = [OWN, "<conversation>-<turn>", "<conversation><::><turn>", "t<turn>.<conversation>", "QReCC-Test_<conversation>_<turn>"]


@pytest.mark.parametrize("pattern", [*PATTERNS, "<conversation>_q#<turn0>"])
@given(turn_id=turn_ids)
def test_what_is_written_is_read_back(pattern, turn_id):
    ids = TurnIds((pattern,))
    assert ids.parse(ids.write(turn_id)).own == turn_id


@pytest.mark.parametrize(
    ("pattern", "text", "own"),
    [
        ("<conversation>-<turn>", "5-3", "5_3"),
        ("<conversation>-<turn>", "C-a-3", "C-a_3"),
        (OWN, "9-1_3", "9-1_3"),
        ("<conversation><::><turn>", "ab<::>2", "ab_2"),
        ("QReCC-Test_<conversation>_<turn>", "QReCC-Test_2_4", "2_4"),
        ("<conversation>_q#<turn0>", "C_x_1_q#0", "C_x_1_1"),
        ("<conversation>", "PLAIN-2", "PLAIN-2_1"),
    ],
)
def test_known_ways(pattern, text, own):
    assert TurnIds((pattern,)).parse(text).own == own


@pytest.mark.parametrize("text", ["", "5", "5_0", "5_03", "5_x", "_3", "a b_3", "5_3 ", "5_3\n", "5_-1", "5_٣", "5_1234567890", "␣_1"])
def test_ids_that_do_not_fit(text):
    with pytest.raises(ValueError, match="is not of the form '<conversation>_<turn>'; say how"):
        TurnIds((OWN,)).parse(text)


def test_several_patterns_are_tried_in_order():
    ids = TurnIds(("<conversation><::><turn>", "<conversation>::<turn>"))
    assert ids.parse("a::2") == ids.parse("a<::>2") == TurnId("a", 2)
    assert ids.write("a_2") == "a<::>2"


def test_a_later_turn_needs_a_place():
    ids = TurnIds(("<conversation>",))
    assert ids.write("a_1") == "a"
    with pytest.raises(ValueError, match="has no place for its number"):
        ids.write("a_2")


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "5-3", "<turn>", "<conversation><turn>", "<conversation>1<turn>", "<conversation> <turn>", "<conversation>_<turn>_<turn0>"),
        *("<conversation>_<conversation>", "<turn>_<turn>"),
    ],
)
def test_patterns_that_could_not_be_read_back(pattern):
    with pytest.raises(UsageError, match="--turn-ids"):
        TurnIds((pattern,))


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text):
    ids = TurnIds((OWN,))
    try:
        own = ids.parse(text).own
    except ValueError:
        return
    assert ids.write(own) == text == own
