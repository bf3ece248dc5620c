from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from convbench.comparison.conditions import evidence_groups, generator_of, history_groups, retriever_of
from convbench.comparison.task import Entrant, Role
from convbench.datasets.loading import open_dataset
from convbench.harness.plan import system_config
from convbench.harness.spec import DatasetSpec
from convbench.systems.base import Settings
from convbench.systems.catalog import system_values


def entrant(system: str, *, role: Role = "", seed: int = 0, set_: dict[str, Any] | None = None, **conditions: str) -> Entrant:
    """A run as far as its conditions go, from the real system."""
    dataset = open_dataset(DatasetSpec(name="topiocqa").request())
    asked = {"history": None, "evidence": None, **conditions}
    config = system_config({**system_values(system), **(set_ or {})}, system)
    if conditions:
        config = config.with_conditions(**asked)
    built = config.build(Settings(dataset.card, offline=True, seed=seed))
    results = SimpleNamespace(system=config.model_dump(mode="json"), conditions=built.conditions(), seed=seed)
    return Entrant("", role, cast("Any", SimpleNamespace(name=config.name, results=results)))


SYSTEMS = ("bm25-query", "unified-minilm")


@pytest.mark.parametrize("system", SYSTEMS)
def test_history_views_of_a_system_are_one_ladder(system: str) -> None:
    views = ["rewrite", "full", "last-10", "query", "full-own", "last-2", "queries"]
    (group,) = history_groups([entrant(system, history=view) for view in views])
    assert list(group) == ["query", "queries", "last-2", "last-10", "full", "full-own", "rewrite"]
    assert {view: views[place] for view, place in group.items()} == {view: view for view in views}


@pytest.mark.parametrize("system", SYSTEMS)
def test_evidence_conditions_of_a_system_are_one_ladder(system: str) -> None:
    views = ["gold+noise", "retrieved", "none", "gold", "other-turn", "retrieved-minus-gold"]
    (group,) = evidence_groups([entrant(system, evidence=view) for view in views])
    assert list(group) == ["none", "other-turn", "retrieved-minus-gold", "retrieved", "gold+noise", "gold"]
    assert {view: views[place] for view, place in group.items()} == {view: view for view in views}


def test_a_ladder_holds_nothing_that_differs_in_anything_else() -> None:
    runs = [
        entrant("bm25-query", evidence="none"),
        entrant("bm25-query", evidence="gold", history="full"),
        entrant("bm25-query", evidence="gold", seed=1),
        entrant("bm25-query", evidence="gold", set_={"k": 10}),
        entrant("bm25-queries", evidence="gold"),
    ]
    assert evidence_groups(runs) == []
    assert history_groups(runs) == []
    assert evidence_groups([*runs, entrant("bm25-query", evidence="gold")]) == [{"none": 0, "gold": 5}]


def test_of_two_runs_under_one_condition_the_first_counts() -> None:
    runs = [entrant("bm25-query", evidence=view) for view in ("gold", "none", "gold")]
    assert evidence_groups(runs) == [{"none": 1, "gold": 0}]


def test_oracle_and_chance_make_no_ladder() -> None:
    runs = [entrant("oracle", role="ceiling"), entrant("random", role="floor"), entrant("bm25-query")]
    assert evidence_groups(runs) == []
    assert history_groups(runs) == []


def test_a_system_without_others_rankings_is_its_own_retriever() -> None:
    run = entrant("bm25-query")
    assert (retriever_of(run), generator_of(run)) == ("bm25-query", "bm25-query")
