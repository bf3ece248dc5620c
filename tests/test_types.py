from __future__ import annotations

import dataclasses
import hashlib

import pytest

from convbench.types import Exchange, Passage, Reference, Turn, TurnRecord, TurnSet, conversation_of, qrels_of


@pytest.mark.parametrize(
    ("turn_id", "conversation", "number"), [("12_3", "12", 3), ("QReCC-Test_2_10", "QReCC-Test_2", 10), ("a_b_c_1", "a_b_c", 1)]
)
def test_turn_ids_split_from_the_right(turn_id: str, conversation: str, number: int) -> None:
    turn = Turn(turn_id, "who sailed first")
    assert turn.conversation_id == conversation_of(turn_id) == conversation
    assert turn.number == number


@pytest.mark.parametrize("value", [Passage("p", "text"), Reference("text"), Exchange("1_1", "q"), Turn("1_1", "q"), TurnRecord("1_1")])
def test_values_are_frozen_and_slotted(value: object) -> None:
    assert not hasattr(value, "__dict__")
    name = dataclasses.fields(value)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")


def test_defaults_are_not_shared() -> None:
    one, other = Turn("1_1", "q"), Turn("1_2", "q")
    assert one.gold == {}
    assert one.gold is not other.gold


def test_turn_set_digest_is_of_the_ordered_ids() -> None:
    turns = [Turn("1_1", "a"), Turn("1_2", "b")]
    chosen = TurnSet.of(turns, "all")
    assert chosen.ids == ("1_1", "1_2")
    assert chosen.sha256 == hashlib.sha256(b"1_1\n1_2\n").hexdigest()
    assert TurnSet.of(turns[::-1], "all").sha256 != chosen.sha256
    assert TurnSet(("1", "_11_2"), "all").sha256 != chosen.sha256
    assert TurnSet.of(turns, "another rule").sha256 == chosen.sha256


def test_qrels_leave_out_turns_without_gold() -> None:
    turns = [Turn("1_1", "a", gold={"p": 2, "q": 1}), Turn("1_2", "b")]
    assert qrels_of(turns) == {"1_1": {"p": 2, "q": 1}}


def test_rank_of_the_first_of_some_passages() -> None:
    record = TurnRecord("1_1", passages=(("a", 3.0), ("b", 2.0), ("c", 1.0)))
    assert [record.rank_of(ids) for ids in ({"c", "b"}, {"a"}, {"d"}, set())] == [2, 1, None, None]
    assert TurnRecord("1_1").rank_of({"a"}) is None
