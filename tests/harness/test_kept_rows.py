from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from convbench.harness.collecting import rare_collections
from convbench.harness.execute import Execution
from convbench.harness.folder import RunFolder
from convbench.harness.plan import Plan
from convbench.harness.spec import DatasetSpec, RunSpec
from convbench.systems.catalog import system_source

SYSTEMS = ("bm25-history", "bm25-rewrite", "first-sentence", "previous-gold", "random", "oracle", "minilm-history", "hybrid-rewrite")


@pytest.mark.parametrize("system", SYSTEMS)
def test_rows_that_were_just_made_are_those_that_are_read_back(system: str, tmp_path: Path) -> None:
    spec = RunSpec(system=dict(system_source(system, offline=True).values), dataset=DatasetSpec(name="topiocqa", limit=3), seed=0)
    plan = Plan(spec, RunFolder(tmp_path / "run"), tmp_path / "cache", offline=True)
    execution = Execution(plan)
    upstream = {}
    for planned in plan.stages:
        rows = execution._rows(planned, upstream)
        assert planned.stage.name in execution.seconds, "the rows were made"
        assert rows == planned.output.rows()
        assert json.dumps(rows) == json.dumps(planned.output.rows())
        upstream[planned.stage.name] = {row["turn_id"]: row for row in rows}
    assert all(upstream.values())


def test_collections_are_rare_within_only() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold()[0] >= 50_000
        with rare_collections():
            pass
        assert gc.get_threshold()[0] >= 50_000
    assert gc.get_threshold() == before
    with pytest.raises(RuntimeError), rare_collections():
        raise RuntimeError
    assert gc.get_threshold() == before


def test_collections_that_are_off_stay_off() -> None:
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with rare_collections():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
