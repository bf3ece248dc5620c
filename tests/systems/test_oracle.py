from __future__ import annotations

from pathlib import Path

import pytest

from convbench.datasets.adapters import load_card
from convbench.meter import Meter
from convbench.retrieval.canonical import canonical
from convbench.systems.base import Settings, Stage, System, Workplace
from convbench.systems.oracle import Oracle, OracleConfig
from convbench.types import Reference, Turn, TurnRecord

TURN = Turn(
    "1_1",
    "who keeps the lighthouse",
    references=(
        Reference("It says so.", "knowledge"),
        Reference("A sailor."),
        Reference("Ames."),
        Reference("An old sailor.", "additional"),
    ),
    gold={"a": 1, "c": 1, "b": 2},
)
BARE = Turn("1_2", "and why", references=(Reference("Because.", "additional"),))


def oracle() -> System:
    return OracleConfig(kind="oracle", name="oracle").build(Settings(load_card("topiocqa"), offline=True, seed=0))


def records(*turns: Turn) -> list[TurnRecord | None]:
    system = oracle()
    rows: dict[str, dict[str, dict[str, object]]] = {turn.id: {} for turn in turns}
    for stage in system.stages():
        stage.check(turns)
        stage.open(Workplace(None, Path("nowhere"), Meter()))
        for turn, row in zip(turns, stage.run(turns, {}), strict=True):
            assert row["turn_id"] == turn.id
            rows[turn.id][stage.name] = row
    return [system.record(turn.id, rows[turn.id]) for turn in turns]


def test_gold_passages_by_grade_and_the_main_reference() -> None:
    (record,) = records(TURN)
    assert record == TurnRecord(
        "1_1",
        passages=(("b", 3.0), ("c", 2.0), ("a", 1.0)),
        response="A sailor.",
        evidence=("a", "b", "c"),
        ledger={"history_kept": [], "history_dropped": [], "truncated": {}},
    )


def test_its_ranking_is_canonical() -> None:
    (record,) = records(TURN)
    assert record is not None
    assert canonical("1_1", record.passages).passages == record.passages


def test_without_gold_there_is_nothing() -> None:
    (record,) = records(BARE)
    assert record is not None
    assert (record.passages, record.response, record.evidence, record.abstained) == ((), "", (), True)


def test_it_needs_no_passages_and_keeps_the_protocols() -> None:
    system = oracle()
    assert isinstance(system, Oracle)
    assert isinstance(system, System)
    assert not system.needs_passages
    assert all(isinstance(stage, Stage) for stage in system.stages())
    assert system.conditions()["evidence"] == "gold"


def test_it_has_no_conditions_to_override() -> None:
    assert OracleConfig.overrides == frozenset()
    with pytest.raises(ValueError, match="k"):
        OracleConfig.model_validate({"kind": "oracle", "name": "oracle", "k": 3})
