from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from convbench.datasets.adapters import load_card
from convbench.errors import MissingFileError
from convbench.meter import Meter
from convbench.systems.base import Settings, Stage, System, Workplace
from convbench.systems.random import RandomConfig, RandomStage
from convbench.types import Passage, Turn

if TYPE_CHECKING:
    from conftest import StoreOf

PASSAGES = [Passage(f"p{n}", f"Boat {n} sank. Boat {n} floated! Was boat {n} red?") for n in range(10)]
TURNS = [Turn(f"{n}_1", "which boat") for n in range(40)]


@pytest.fixture
def stage(store_of: StoreOf, tmp_path: Path) -> Any:
    def make(k: int = 4, seed: int = 0, passages: list[Passage] = PASSAGES) -> RandomStage:
        made = RandomStage(k, seed)
        made.open(Workplace(store_of(passages), tmp_path, Meter()))
        return made

    return make


def test_k_different_passages_with_falling_scores(stage: Any) -> None:
    for turn, row in zip(TURNS, stage().run(TURNS, {}), strict=True):
        ids = [passage_id for passage_id, _ in row["passages"]]
        assert row["turn_id"] == turn.id
        assert len(set(ids)) == 4
        assert set(ids) <= {passage.id for passage in PASSAGES}
        assert [score for _, score in row["passages"]] == [4.0, 3.0, 2.0, 1.0]


def test_the_text_is_a_sentence_of_the_first_passage(stage: Any) -> None:
    rows = stage().run(TURNS, {})
    for row in rows:
        assert row["evidence"] == [row["passages"][0][0]]
        number = row["evidence"][0].removeprefix("p")
        assert row["text"] in {f"Boat {number} sank.", f"Boat {number} floated!", f"Was boat {number} red?"}
    assert {row["text"][-1] for row in rows} == {".", "!", "?"}


def test_a_draw_depends_on_seed_and_turn_alone(stage: Any) -> None:
    rows = stage().run(TURNS, {})
    assert stage().run(TURNS[::-1], {}) == rows[::-1]
    assert [stage().run([turn], {})[0] for turn in TURNS] == rows
    assert stage(seed=1).run(TURNS, {}) != rows
    assert len({str(row["passages"]) for row in rows}) > 30


def test_every_passage_is_as_likely(stage: Any) -> None:
    turns = [Turn(f"{n}_1", "which") for n in range(3000)]
    firsts = Counter(row["passages"][0][0] for row in stage(k=1).run(turns, {}))
    chi_squared = sum((firsts[passage.id] - 300) ** 2 / 300 for passage in PASSAGES)
    assert chi_squared < 27.9  # 9 degrees of freedom, p = .001


def test_a_small_collection_and_an_empty_text(stage: Any) -> None:
    (row,) = stage(k=100, passages=[Passage("a", "")]).run(TURNS[:1], {})
    assert (row["passages"], row["text"]) == ([["a", 1.0]], "")


def test_the_system_answers_with_the_draw(store_of: StoreOf, tmp_path: Path) -> None:
    system = RandomConfig(kind="random", name="random", k=3).build(Settings(load_card("topiocqa"), offline=True, seed=7))
    assert isinstance(system, System)
    assert system.needs_passages
    (only,) = system.stages()
    assert isinstance(only, Stage)
    assert only.describe() == {"type": "random", "k": 3, "seed": 7}
    only.open(Workplace(store_of(PASSAGES), tmp_path, Meter()))
    (row,) = only.run(TURNS[:1], {})
    record = system.record("0_1", {"search": row})
    assert record is not None
    assert [list(pair) for pair in record.passages] == row["passages"]
    assert (record.response, record.evidence) == (row["text"], tuple(row["evidence"]))


def test_without_passages_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no corpus was found: give it with --corpus"):
        RandomStage(3, 0).open(Workplace(None, tmp_path, Meter()))


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(ValidationError, match="k"):
        RandomConfig(kind="random", name="random", k=0)
