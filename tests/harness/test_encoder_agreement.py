"""How far an approximate encoder agrees with the exact one is known at the end of the stage, however few texts it encoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from backends.checkpoints import make_encoder

from convbench.harness.costs import CostLog
from convbench.harness.execute import Execution
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.retrieval.dense import DenseRetriever
from convbench.systems.catalog import system_source

PROFILE = {"pooling": "mean", "attention": "bidirectional", "normalize": True}


def executed(folder: Path, cache: Path, model: Path) -> Plan:
    values: dict[str, Any] = dict(system_source("minilm-query", offline=True).values)
    encoder = {"model": str(model), "device": "cpu", "dtype": "int8", "profile": PROFILE}
    values["retriever"] = {**values["retriever"], "encoder": encoder}
    plan = Plan(RunSpec(system=values, dataset=DatasetSpec(name="topiocqa", limit=1), seed=0), RunFolder(folder), cache, offline=True)
    execution = Execution(plan)
    upstream: dict[str, Any] = {}
    for planned in plan.stages:
        upstream[planned.stage.name] = execution._rows(planned, upstream)
    return plan


def test_few_queries_are_compared_together_in_the_last_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DenseRetriever, "batch_size", 2)
    model = make_encoder(tmp_path / "model", "bert", initializer_range=0.05)
    building, searching = (executed(tmp_path / name, tmp_path / "cache", model) for name in ("first", "second"))
    logs = {}
    for name, plan in (("building", building), ("searching", searching)):
        (search,) = [planned for planned in plan.stages if planned.stage.name == "search"]
        entries = CostLog(plan.folder.stages, "search", search.key).entries()
        logs[name] = [(entry["batch"], each["texts"]) for entry in entries for each in entry.get("agreements", {}).values()]
    turns, last = len(searching.dataset.turns), len(search.batches) - 1
    assert 4 < turns < 32
    assert logs == {"building": [(None, 32)], "searching": [(last, turns)]}
