from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import convbench, succeed


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    succeed("run", "bm25-query", "-d", "topiocqa", "--out", folder, "--protocol", "topiocqa-official", "--protocol", "convgqr-line")
    return folder


def problems(folder: Path) -> dict[str, list[str]]:
    return {
        problem["check"]: problem["examples"] for problem in convbench("validate", folder, "--json").json if problem["severity"] == "error"
    }


def edited(finished: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    folder = shutil.copytree(finished, tmp_path / "run")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    change(results)
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def test_a_run_as_it_was_made_is_in_order(finished: Path) -> None:
    assert problems(finished) == {}


def measure(results: dict[str, Any], name: str) -> dict[str, Any]:
    return next(metric for metric in results["metrics"] if metric["name"] == name)


def test_a_score_that_was_raised_by_hand_is_found(finished: Path, tmp_path: Path) -> None:
    def raise_one(results: dict[str, Any]) -> None:
        measure(results, "MAP")["value"] += 0.01

    assert problems(edited(finished, tmp_path, raise_one)) == {"scores-disagree": ["MAP (convgqr-line)"]}


def test_turns_that_do_not_add_up_are_found(finished: Path, tmp_path: Path) -> None:
    def drop(results: dict[str, Any]) -> None:
        measure(results, "F1-loo")["n_turns"] -= 1

    assert problems(edited(finished, tmp_path, drop)) == {"scores-disagree": ["F1-loo (topiocqa-official)"]}


def test_measures_that_contradict_one_another_are_found(finished: Path, tmp_path: Path) -> None:
    def contradict(results: dict[str, Any]) -> None:
        measure(results, "R@5")["value"] = 1.0
        measure(results, "R@10")["value"] = 0.5

    found = problems(edited(finished, tmp_path, contradict))
    assert found["invariants"] == ["convgqr-line: R@5 = 1.0 is above R@10 = 0.5"]


def test_results_of_another_run_are_found(finished: Path, tmp_path: Path) -> None:
    def change(results: dict[str, Any]) -> None:
        results["run_sha256"] = "0" * 64

    assert problems(edited(finished, tmp_path, change)) == {"results-of-another-run": ["results.json"]}
