"""Every shipped baseline runs, from its own system.yaml: those whose weights are on the hub with tiny ones of the same architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from backends.chat_server import chat_server
from command_line import succeed
from systems.tiny_models import MAKERS

from convbench.harness.results import read_results
from convbench.io.runfile import read_run
from convbench.systems.catalog import baseline_names, system_values
from convbench.systems.needs import needs_of

BRING_YOUR_OWN = {"unified-paper"}
NEEDS = {name: set(needs_of(system_values(name))) for name in baseline_names()}
MAPPED = [name for name, needs in NEEDS.items() if needs & {"hub", "your weights"} and name not in BRING_YOUR_OWN]


@pytest.fixture(scope="session")
def checkpoint_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    folders = {name: str(make(root / name.replace("/", "--"))) for name, make in MAKERS.items()}
    path = root / "map.yaml"
    path.write_text(yaml.safe_dump(folders), encoding="utf-8")
    return path


def run(baseline: str, out: Path, cache: Path, *more: object) -> dict[str, Any]:
    selected = ("-d", "topiocqa", "--limit", 1, "--metrics", "retrieval,token-f1", "--offline")
    succeed("run", baseline, *selected, "--out", out, "--cache", cache, *more)
    return {metric.name: metric for metric in read_results(out / "results.json").metrics}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_there_are_more_than_twenty() -> None:
    assert len(NEEDS) >= 40
    assert sum(needs <= {"nothing", "packaged weights"} for needs in NEEDS.values()) >= 14


@pytest.mark.parametrize("baseline", MAPPED)
def test_it_runs_with_tiny_checkpoints(baseline: str, checkpoint_map: Path, tmp_path: Path, cache: Path) -> None:
    measured = run(baseline, tmp_path / "run", cache, "--checkpoint-map", checkpoint_map)
    records = list(read_run(tmp_path / "run" / "turns.jsonl").records.values())
    failures = [record.ledger["rewrite_failure"] for record in records if "rewrite_failure" in record.ledger]
    assert not [failure for failure in failures if "token" in failure], failures  # random weights write nonsense, but prompts must fit
    if baseline == "qwen3-direct":
        assert measured["retrieval"].reason == "the run holds no rankings"
    else:
        assert measured["nDCG@3"].value is not None
        assert baseline.startswith("bm25") or all(record.passages for record in records)  # no word of a nonsense query may be anywhere
    assert measured["F1-max"].value is not None


def test_a_server_responds(tmp_path: Path, cache: Path) -> None:
    with chat_server() as server:
        measured = run("bm25-server", tmp_path / "run", cache, "--set", f"generator.model.base_url={server.url}")
    assert {asked.path for asked in server.asked} == {"/v1/chat/completions"}
    assert measured["F1-max"].value is not None
    cost = read_results(tmp_path / "run" / "results.json").cost.server
    assert cost is not None
    assert cost.requests == len(server.asked) > 0
