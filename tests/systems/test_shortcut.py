from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convbench.meter import Meter
from convbench.retrieval.canonical import is_canonical
from convbench.systems.base import Stage, Workplace
from convbench.systems.shortcut import NoRetrieverConfig, PreviousGoldConfig, PreviousGoldStage
from convbench.types import Exchange, Passage, Ranking, Turn

if TYPE_CHECKING:
    from conftest import StoreOf

PASSAGES = [Passage(name, f"The {name}.") for name in ("lamp", "tower", "boat", "bread", "oven", "keeper")]
TURNS = [
    Turn("1_1", "tell me of it", gold={"tower": 1, "lamp": 2}),
    Turn("1_2", "and then", gold={}),
    Turn("1_3", "who keeps it", gold={"keeper": 1, "lamp": 1}),
    Turn("1_4", "why", gold={"boat": 1}),
    Turn("2_1", "how is bread made", gold={"bread": 1}),
    Turn("2_2", "how hot is it", gold={"oven": 1}),
]


@pytest.fixture
def workplace(store_of: StoreOf, tmp_path: Path) -> Workplace:
    return Workplace(store_of(PASSAGES), tmp_path / "cache", Meter())


def found(workplace: Workplace, turns: Sequence[Turn] = TURNS, *, k: int = 10) -> dict[str, list[str]]:
    """Passages by turn; the rows are asked for one by one, last turn first."""
    stage = PreviousGoldStage(k)
    stage.check(turns)
    stage.open(workplace)
    rows = [row for turn in reversed(turns) for row in stage.run([turn], {})]
    for row in rows:
        assert is_canonical(Ranking(row["turn_id"], tuple((id_, score) for id_, score in row["passages"])))
    return {row["turn_id"]: [id_ for id_, _ in row["passages"]] for row in rows}


def test_gold_of_the_earlier_turns_newest_first_and_never_of_the_turn_itself(workplace: Workplace) -> None:
    assert found(workplace) == {
        "1_1": [],
        "1_2": ["lamp", "tower"],
        "1_3": ["lamp", "tower"],
        "1_4": ["keeper", "lamp", "tower"],
        "2_1": [],
        "2_2": ["bread"],
    }


def test_the_rows_are_those_of_a_search(workplace: Workplace) -> None:
    stage = PreviousGoldStage(2)
    stage.check(TURNS)
    stage.open(workplace)
    assert stage.run(TURNS[3:5], {}) == [
        {"turn_id": "1_4", "passages": [("keeper", 2.0), ("lamp", 1.0)], "usage": {}, "cut": 0},
        {"turn_id": "2_1", "passages": [], "usage": {}, "cut": 0},
    ]


def test_turns_count_by_number_and_not_by_their_place(workplace: Workplace) -> None:
    turns = [Turn(f"1_{number}", "why", gold={PASSAGES[number % 6].id: 1}) for number in range(1, 12)]
    shuffled = [turns[index] for index in (10, 3, 0, 7, 1, 9, 2, 8, 4, 6, 5)]
    assert found(workplace, shuffled) == found(workplace, turns)
    assert found(workplace, shuffled)["1_11"][:2] == [PASSAGES[10 % 6].id, PASSAGES[9 % 6].id]


def test_what_the_collection_lacks_cannot_be_found(workplace: Workplace) -> None:
    turns = [Turn("1_1", "who", gold={"elsewhere": 3, "lamp": 1}), Turn("1_2", "why")]
    assert found(workplace, turns, k=1)["1_2"] == ["lamp"]


def test_a_turn_as_a_live_conversation_shows_it_gets_the_same(workplace: Workplace) -> None:
    stage = PreviousGoldStage(10)
    stage.check(TURNS)
    stage.open(workplace)
    live = Turn("1_3", "who keeps it", (Exchange("1_1", "tell me of it", "The system's own words."),))
    assert stage.run([live], {}) == stage.run([TURNS[2]], {})


def test_it_is_a_stage_named_as_search(workplace: Workplace) -> None:
    stage: Any = PreviousGoldStage(5)
    assert isinstance(stage, Stage)
    assert (stage.name, stage.describe()) == ("search", {"k": 5, "retriever": {"type": "previous-gold"}})
    assert PreviousGoldConfig(type="previous-gold").model_dump() == {"type": "previous-gold"}
    assert NoRetrieverConfig(type="none").model_dump() == {"type": "none"}
