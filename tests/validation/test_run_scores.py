from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import convbench, succeed, without_digests

from convbench.analysis.bootstrap import clustered_interval


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    succeed("run", "bm25-query", "-d", "topiocqa", "--out", folder, "--protocol", "topiocqa-official", "--protocol", "convgqr-line")
    return folder


def problems(folder: Path) -> dict[str, list[str]]:
    return {
        problem["check"]: problem["examples"] for problem in convbench("validate", folder, "--json").json if problem["severity"] == "error"
    }


def edited(finished: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    folder = shutil.copytree(finished, tmp_path / "run")
    results = without_digests(folder)
    change(results)
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def test_a_run_as_it_was_made_is_in_order(finished: Path) -> None:
    assert problems(finished) == {}


def measure(results: dict[str, Any], name: str) -> dict[str, Any]:
    return next(metric for metric in results["metrics"] if metric["name"] == name)


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda r: measure(r, "MAP").update(value=0.99), "MAP (convgqr-line): the value or its interval"),
        (lambda r: measure(r, "MAP").update(ci=[0.0, 1.0]), "MAP (convgqr-line): the value or its interval"),
        (lambda r: measure(r, "MAP").update(value=None), "MAP (convgqr-line): the value or its interval"),
        (lambda r: measure(r, "F1-loo").update(n_turns=55), "F1-loo (topiocqa-official): 55 turns of 9 conversations"),
        (lambda r: measure(r, "F1-loo").update(n_conversations=8), "F1-loo (topiocqa-official): 56 turns of 8 conversations"),
        (lambda r: measure(r, "F1-loo").update(n_missing=57), "F1-loo (topiocqa-official): 57 missing turns"),
        (
            lambda r: measure(r, "F1-loo").update(signature=measure(r, "F1-loo")["signature"].replace("|turns:", "|turns:0")),
            "F1-loo (topiocqa-official): the turns are not those of the signature",
        ),
    ],
)
def test_an_aggregate_that_was_changed_by_hand_is_found(finished: Path, tmp_path: Path, change: Change, wrong: str) -> None:
    assert problems(edited(finished, tmp_path, change)) == {"scores-disagree": [wrong]}


def rescored(finished: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The run with changed lines in scores.jsonl, and the aggregates of MAP as these lines give them."""
    folder = edited(finished, tmp_path, lambda results: None)
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        change(line)
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    values = [line["value"] for line in lines if line["measure"] == "MAP"]
    measure(results, "MAP")["value"] = sum(values) / len(values)
    measure(results, "MAP")["ci"] = clustered_interval(
        values, [line["turn_id"].rpartition("_")[0] for line in lines if line["measure"] == "MAP"]
    )
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def test_scores_that_were_raised_together_with_their_aggregate_are_found(finished: Path, tmp_path: Path) -> None:
    def raise_all(line: dict[str, Any]) -> None:
        if line["measure"] == "MAP":
            line["value"] = 1.0

    found = problems(rescored(finished, tmp_path, raise_all))
    assert list(found) == ["scores-changed"]


def test_scores_off_their_scale_are_found(finished: Path, tmp_path: Path) -> None:
    def raise_all(line: dict[str, Any]) -> None:
        if line["measure"] == "MAP":
            line["value"] = 7.0

    found = problems(rescored(finished, tmp_path, raise_all))
    assert set(found) == {"scores-changed", "invariants"}
    assert found["invariants"][0] == "all turns: MAP is 7.0; expected a value from 0 to 1"


def test_scores_of_turns_that_do_not_exist_are_found(finished: Path, tmp_path: Path) -> None:
    def rename(line: dict[str, Any]) -> None:
        if line["measure"] == "F1-loo":
            line["turn_id"] = line["turn_id"].replace("_", "x_")

    found = problems(rescored(finished, tmp_path, rename))
    assert found["scores-disagree"] == ["F1-loo (topiocqa-official): the turns are not those of the signature"]


def test_a_folder_without_scores_or_measures_is_found(finished: Path, tmp_path: Path) -> None:
    folder = edited(finished, tmp_path, lambda results: results.update(metrics=[]))
    assert set(problems(folder)) == {"no-measures"}
    (folder / "scores.jsonl").unlink()
    assert problems(folder) == {"run-files": ["scores.jsonl"]}


def test_measures_that_contradict_one_another_are_found(finished: Path, tmp_path: Path) -> None:
    def contradict(results: dict[str, Any]) -> None:
        measure(results, "R@5")["value"] = 1.0
        measure(results, "R@10")["value"] = 0.5

    found = problems(edited(finished, tmp_path, contradict))
    assert found["invariants"] == ["convgqr-line: R@5 = 1.0 is above R@10 = 0.5"]


def test_results_of_another_run_are_found(finished: Path, tmp_path: Path) -> None:
    assert problems(edited(finished, tmp_path, lambda r: r.update(run_sha256="0" * 64))) == {"results-of-another-run": ["results.json"]}
