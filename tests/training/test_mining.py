"""The rules of mining, on collections made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from convbench.errors import DataError
from convbench.training.mining import Mined, MiningRules, answers, mine
from convbench.training.negatives import Negative
from convbench.types import Conversation, Passage, Reference, Turn, TurnRecord

if TYPE_CHECKING:
    from conftest import StoreOf

PASSAGES = [
    Passage("gold", "Otters sleep on their backs.", "Otters"),
    Passage("copy", "otters sleep, on their BACKS", "Elsewhere"),
    Passage("answer", "It is said that they float on the water, at night.", "Sleep"),
    Passage("title", "Nothing of it stands here.", "Float on the water"),
    Passage("near", "They may float on the waterfall."),
    Passage("other", "Beavers build dams."),
    Passage("again", "BEAVERS build dams!", "Dams"),
    Passage("voles", "Voles dig."),
    Passage("dots", "...", "Dots"),
    Passage("dashes", "---", "Dashes"),
]
ALL = [passage.id for passage in PASSAGES]
RETRIEVED = ["near", "other", "voles", "dots", "dashes"]


def turn(id_: str, *gold: str, response: str = "Float on the water.", **more: object) -> Turn:
    return Turn(id_, "how do they sleep?", references=(Reference(response),), gold=dict.fromkeys(gold, 1), **more)  # type: ignore[arg-type]


def talk(*turns: Turn) -> list[Conversation]:
    return [Conversation("a", "test", "dev", turns)]


def ranked(turn_id: str, ids: Sequence[str] = ALL) -> dict[str, TurnRecord]:
    return {turn_id: TurnRecord(turn_id, passages=tuple((id_, 10.0 - place) for place, id_ in enumerate(ids)))}


def ids(mined: Mined, turn_id: str = "a_1", kind: str = "retrieved") -> list[str]:
    return [negative.id for negative in mined.negatives[turn_id] if negative.kind == kind]


def test_gold_copies_answers_and_repeats_are_left_out(store_of: StoreOf) -> None:
    mined = mine(talk(turn("a_1", "gold")), ranked("a_1"), store_of(PASSAGES), MiningRules())
    assert ids(mined) == RETRIEVED
    assert mined.excluded == {"gold": 1, "copy": 1, "answer": 2, "repeat": 1}
    assert mined.negatives["a_1"][0] == Negative("near", 5, 6.0, "retrieved")


def test_answers_can_be_kept(store_of: StoreOf) -> None:
    mined = mine(talk(turn("a_1", "gold")), ranked("a_1"), store_of(PASSAGES), MiningRules(keep_answers=True))
    assert ids(mined) == ["answer", "title", *RETRIEVED]
    assert mined.excluded == {"gold": 1, "copy": 1, "repeat": 1}


@pytest.mark.parametrize("response", ["Yes.", "no", "UNANSWERABLE", "CANNOTANSWER", "...", "", "I don't know"])
def test_some_responses_are_no_answers(response: str) -> None:
    assert answers(turn("a_1", response=response)) == []


def test_answers_are_every_response_and_no_knowledge() -> None:
    references = (Reference("At night!"), Reference("at  night"), Reference("By day", "additional"), Reference("It is said", "knowledge"))
    assert answers(Turn("a_1", "when?", references=references)) == ["at night", "by day"]
    assert answers(Turn("a_1", "when?", references=references, labels={"answerable": "no"})) == []


def test_depth_skip_and_count_are_of_the_whole_ranking(store_of: StoreOf) -> None:
    store, talks, records = store_of(PASSAGES), talk(turn("a_1", "gold")), ranked("a_1")
    assert ids(mine(talks, records, store, MiningRules(depth=6))) == ["near", "other"]
    skipped = mine(talks, records, store, MiningRules(skip=5))
    assert ids(skipped) == ["other", "voles", "dots", "dashes"]
    assert skipped.negatives["a_1"][0].rank == 6
    few = mine(talks, records, store, MiningRules(count=2))
    assert ids(few) == ["near", "other"]
    assert few.excluded == {"gold": 1, "copy": 1, "answer": 2}  # the repeat stands behind the last that was taken
    assert few.counts(2)["turns_with_fewer"] == 0
    assert few.counts(3)["turns_with_fewer"] == 1


def test_earlier_gold_comes_first_the_latest_turn_first(store_of: StoreOf) -> None:
    turns = [turn("a_1", "voles", "gold"), turn("a_2", "other", "answer"), turn("a_3", "gold"), turn("a_4", "dots")]
    mined = mine(talk(*turns), ranked("a_3", ALL[:8]), store_of(PASSAGES), MiningRules(earlier_gold=True))
    assert mined.negatives["a_1"] == ()
    assert ids(mined, "a_3", "earlier-gold") == ["other", "voles"]
    assert ids(mined, "a_3") == ["near"]
    assert mined.negatives["a_3"][:2] == (Negative("other", 6, 5.0, "earlier-gold"), Negative("voles", 8, 3.0, "earlier-gold"))
    assert mined.excluded == {"gold": 2, "copy": 1, "answer": 4, "repeat": 1}  # what is listed already is no repeat
    assert mined.negatives["a_4"][0] == Negative("gold", None, None, "earlier-gold")
    assert ids(mined, "a_4", "earlier-gold") == ["gold", "other", "voles"]
    assert ids(mine(talk(*turns), {}, store_of(PASSAGES), MiningRules(earlier_gold=True, count=1)), "a_4", "earlier-gold") == ["gold"]


def test_without_the_rule_earlier_gold_is_retrieved_like_any_other(store_of: StoreOf) -> None:
    mined = mine(talk(turn("a_1", "voles"), turn("a_2", "gold")), ranked("a_2"), store_of(PASSAGES), MiningRules())
    assert ids(mined, "a_2") == RETRIEVED


def test_earlier_gold_that_is_a_copy_of_gold_or_unknown_is_left_out(store_of: StoreOf) -> None:
    mined = mine(
        talk(turn("a_1", "copy", "gone", "voles"), turn("a_2", "gold", "lost")), {}, store_of(PASSAGES), MiningRules(earlier_gold=True)
    )
    assert ids(mined, "a_2", "earlier-gold") == ["voles"]
    assert mined.excluded == {"copy": 1}


def test_turns_are_counted(store_of: StoreOf) -> None:
    mined = mine(talk(turn("a_1"), turn("a_2", "gold"), turn("a_3", "gold")), ranked("a_3"), store_of(PASSAGES), MiningRules())
    assert list(mined.negatives) == ["a_2", "a_3"]
    assert mined.counts(8) == {
        "turns": 2,
        "turns_without_gold": 1,
        "turns_without_ranking": 1,
        "turns_with_fewer": 2,
        "retrieved": 5,
        "earlier_gold": 0,
        "excluded": {"gold": 1, "copy": 1, "answer": 2, "repeat": 1},
    }


def test_a_ranked_passage_must_be_in_the_collection(store_of: StoreOf) -> None:
    with pytest.raises(DataError, match="1 passage ids unknown to this collection of 10 passages, first: 'gone'"):
        mine(talk(turn("a_1", "gold")), ranked("a_1", ["other", "gone"]), store_of(PASSAGES), MiningRules())
