from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from convbench.errors import UsageError
from convbench.types import Passage, Turn
from convbench.views.evidence import EVIDENCE_LADDER, EvidenceCondition, EvidenceName, EvidenceView, check_evidence_view

if TYPE_CHECKING:
    from conftest import StoreOf

TURN = Turn("1_1", "who keeps the lighthouse", gold={"b": 1, "c": 2, "a": 1})
RETRIEVED = ["x", "c", "y"]
OTHERS = [
    Turn("2_1", "who", gold={"k": 1, "m": 2}),
    Turn("2_2", "why"),
    Turn("3_1", "when", gold={"n": 1}),
    Turn("3_2", "so", gold={"a": 1}),
]


def kept(name: EvidenceName, turn: Turn, count: int = 3, retrieved: list[str] = RETRIEVED) -> tuple[str, ...]:
    return EvidenceCondition(name, count).view(turn, retrieved).kept


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("none", 9, ()),
        ("retrieved", 2, ("x", "c")),
        ("retrieved", 9, ("x", "c", "y")),
        ("gold", 9, ("c", "a", "b")),
        ("gold", 2, ("c", "a")),
        ("gold+noise", 9, ("c", "a", "b", "x", "y")),
        ("gold+noise", 4, ("c", "a", "b", "x")),
        ("gold+noise", 3, ("c", "a", "x")),
        ("gold+noise", 2, ("c", "x")),
        ("gold+noise", 1, ("c",)),
        ("retrieved-minus-gold", 1, ("x",)),
        ("retrieved-minus-gold", 9, ("x", "y")),
    ],
)
def test_views(name: EvidenceName, count: int, expected: tuple[str, ...]) -> None:
    assert kept(name, TURN, count) == expected


def test_a_view_names_the_gold_that_it_does_not_show() -> None:
    assert EvidenceCondition("retrieved", 2).view(TURN, RETRIEVED) == EvidenceView("retrieved", ("x", "c"), ("a", "b"))
    assert EvidenceCondition("gold", 2).view(TURN, RETRIEVED) == EvidenceView("gold", ("c", "a"), ("b",))
    assert EvidenceCondition("retrieved-minus-gold", 9).view(TURN, RETRIEVED).dropped == ("c", "a", "b")


def test_gold_does_not_depend_on_the_order_of_the_judgements() -> None:
    other = Turn("1_1", "who", gold={"a": 1, "c": 2, "b": 1})
    assert kept("gold", other) == kept("gold", TURN)


def test_without_gold_there_is_noise_or_nothing() -> None:
    unjudged = Turn("1_1", "who")
    assert kept("gold", unjudged) == ()
    assert kept("gold+noise", unjudged) == kept("retrieved-minus-gold", unjudged) == kept("retrieved", unjudged)


class TestOtherTurn:
    def lent(self, turn: Turn, turns: list[Turn], count: int = 3) -> tuple[str, ...]:
        condition = EvidenceCondition("other-turn", count)
        condition.check(turns)
        return condition.view(turn, RETRIEVED).kept

    def test_it_is_gold_of_another_conversation_and_none_of_ones_own(self) -> None:
        turns = [TURN, Turn("1_2", "since when", gold={"z": 1}), *OTHERS]
        for number in range(3, 40):
            asked = Turn(f"1_{number}", "and then", gold={"a": 1})
            assert self.lent(asked, [*turns, asked]) in {("m", "k"), ("n",)}
        assert {self.lent(Turn(f"4_{n}", "so"), [*turns, Turn(f"4_{n}", "so")]) for n in range(60)} == {
            ("c", "a", "b"),
            ("z",),
            ("m", "k"),
            ("n",),
            ("a",),
        }

    def test_it_is_the_same_every_time_and_best_grade_first(self) -> None:
        turns = [TURN, *OTHERS[:2]]
        assert self.lent(TURN, turns) == self.lent(TURN, turns) == ("m", "k")
        assert self.lent(TURN, turns, count=1) == ("m",)

    @pytest.mark.parametrize("others", [[], [OTHERS[1]], [Turn("1_2", "since when", gold={"z": 1})], [OTHERS[3]]])
    def test_nobody_to_lend_is_an_error_before_any_work(self, others: list[Turn]) -> None:
        with pytest.raises(UsageError, match=r"^turn 1_1: no other conversation of this run has gold passages, .*--evidence other-turn"):
            EvidenceCondition("other-turn", 3).check([TURN, *others])

    def test_other_views_can_do_every_turn(self) -> None:
        for name in set(get_args(EvidenceName)) - {"other-turn"}:
            EvidenceCondition(name, 3).check([TURN])


class TestTexts:
    PASSAGES = (Passage("c", "A sailor."), Passage("x", "A boat."), Passage("k", "A rope."))

    def test_they_come_in_the_order_of_the_view(self, store_of: StoreOf) -> None:
        condition = EvidenceCondition("gold+noise", 2)
        passages = condition.passages(TURN, condition.view(TURN, RETRIEVED), store_of(self.PASSAGES))
        assert [passage.text for passage in passages] == ["A sailor.", "A boat."]

    @pytest.mark.parametrize("name", get_args(EvidenceName))
    def test_several_turns_at_once_are_each_turn_alone(self, name: EvidenceName, store_of: StoreOf) -> None:
        turns = [TURN, *OTHERS[:2], Turn("7_1", "how")]
        ids = [*RETRIEVED, *(id_ for turn in turns for id_ in turn.gold)]
        store, condition = store_of([Passage(id_, f"text of {id_}") for id_ in dict.fromkeys(ids)]), EvidenceCondition(name, 2)
        condition.check(turns)
        views = [condition.view(turn, RETRIEVED[place:]) for place, turn in enumerate(turns)]
        alone = [condition.passages(turn, view, store) for turn, view in zip(turns, views, strict=True)]
        assert condition.passages_of(turns, views, store) == alone

    @pytest.mark.parametrize(("name", "absent"), [("gold", "a"), ("gold+noise", "a"), ("other-turn", "m")])
    def test_gold_that_the_collection_lacks_is_an_error(self, name: EvidenceName, absent: str, store_of: StoreOf) -> None:
        condition = EvidenceCondition(name, 4)
        condition.check([TURN, *OTHERS[:2]])
        message = f"turn 1_1: gold passage '{absent}' is not in the collection, and --evidence {name} needs its text"
        with pytest.raises(UsageError) as caught:
            condition.passages(TURN, condition.view(TURN, ["x"]), store_of(self.PASSAGES))
        assert str(caught.value) == message


@pytest.mark.parametrize("name", get_args(EvidenceName))
def test_known_views(name: EvidenceName) -> None:
    assert check_evidence_view(name) == name
    assert EvidenceCondition(name, 3).describe() == {"evidence": name, "passages": 3}


def test_a_ladder_has_every_view_once() -> None:
    assert sorted(EVIDENCE_LADDER) == sorted(get_args(EvidenceName))
    assert (EVIDENCE_LADDER[0], EVIDENCE_LADDER[-1]) == ("none", "gold")


def test_unknown_views_list_the_known() -> None:
    known = "none, retrieved, gold, gold+noise, retrieved-minus-gold, other-turn"
    with pytest.raises(UsageError) as caught:
        check_evidence_view("gold-noise")
    assert str(caught.value) == f"unknown evidence view 'gold-noise'. Did you mean 'gold+noise'? Known: {known}"
