"""Names of rows: the conditions in which runs of one system differ, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convbench.harness.names import run_names
from convbench.harness.results import Cost, DatasetResult, Results, Truncation


def run(name: str, seed: int = 0, **conditions: Any) -> Results:
    dataset = DatasetResult(
        name="topiocqa", split="mini", options={}, tier="mini", collection_sha256=None, passages=None, turnset_sha256="", n_conversations=1,
        n_turns=1, n_judged=1, licence="",
    )  # fmt: skip
    cost = Cost(
        parameters=0, models={}, index_bytes=0, indexes={}, turns=1, tokens_in=0, tokens_out=0, forward_passes=0, phases=[], recall=None,
        environment=None,
    )  # fmt: skip
    return Results(
        convbench_version="0", system={"name": name, "kind": "two-stage"}, dataset=dataset, conditions=conditions, seed=seed, run_sha256="",
        metrics=[], cost=cost, truncation=Truncation(n_turns=0, n_truncated=0, share=None, by={}), packages={}, warnings=[],
    )  # fmt: skip


def view(name: str) -> Mapping[str, str]:
    return {"view": name, "order": "newest-first"}


def test_names_of_their_own_stay() -> None:
    assert run_names([run("a", evidence="gold"), run("b", evidence="none")]) == ["a", "b"]


def test_what_differs_is_named() -> None:
    runs = [run("a", evidence="gold", k=10), run("b"), run("a", evidence="none", k=10), run("a", seed=1, evidence="none", k=10)]
    assert run_names(runs) == ["a (evidence gold)", "b", "a", "a (seed 1)"]


def test_a_history_is_named_by_its_view() -> None:
    runs = [run("a", history=view("query"), rewriter=rewriter) for rewriter in ("none", "human")]
    assert run_names([*runs, run("a", history=view("full"), rewriter="none")]) == [
        "a (history query)",
        "a (history rewrite)",
        "a (history full)",
    ]


def test_whose_rankings() -> None:
    assert run_names([run("a"), run("a", rankings="b")]) == ["a", "a (rankings b)"]


def test_the_same_twice_is_left_alone() -> None:
    assert run_names([run("a", k=1), run("a", k=1)]) == ["a", "a"]
