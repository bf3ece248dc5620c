from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from backends.small import folder_of
from command_line import succeed
from training.comparing import lines
from training.launched import (
    ACCELERATE,
    TORCHRUN,
    assert_same_losses,
    assert_same_weights,
    children,
    finished,
    processes,
    start,
    trained,
    two_without_a_launcher,
    updates,
    wait_for,
)
from training.test_sharding import with_parts
from training.tiny_recipe import values, written

pytestmark = pytest.mark.slow  # they train, in several processes

EXACT = 5e-6
"""Sums are added up in another order, 6e-8 of each; AdamW divides by their own size, so that a few updates make it some 1e-6."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, which every process draws for itself; with hard negatives, some of which several turns share."""
    folder = tmp_path_factory.mktemp("recipe")
    model = shutil.copytree(folder_of("llama"), folder / "llama")
    mined = folder / "negatives.jsonl"
    succeed("train", "mine", "-d", "topiocqa", "--conversations", "kept:2:tiny", "--with", "bm25", "--count", 3, "--out", mined)
    own: dict[str, Any] = {"training__batch_size": 8, "training__save_every": 2, "mixture__sources__topi__limit": 4, "evaluation": {}}
    return written(folder, values(model__model=str(model), negatives__topi=str(mined), tuning={"dropout": 0.0}, **own))


WAYS = {
    "all weights": [],
    "low-rank matrices in chunks": ["tuning.lora={r: 4, dropout: 0.0}", "objectives.chunk_tokens=300"],
    "packed, two batches an update": ["objectives.packed=true", "training.batch_size=24", "training.gradient_accumulation=2"],
    "all weights in chunks, two batches an update": ["objectives.chunk_tokens=200", "training.gradient_accumulation=2"],
}


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_learn_what_one_learns_with_the_same_batches(recipe: Path, tmp_path: Path, way: str) -> None:
    arguments = [part for change in WAYS[way] for part in ("--set", change)]
    one, two = tmp_path / "one", tmp_path / "two"
    trained((), recipe, one, *arguments)
    said = trained(ACCELERATE if way == "all weights" else TORCHRUN, recipe, two, *arguments)
    assert said.count("steps: 4") == 1, "the first process speaks for all"
    assert (processes(one), processes(two)) == (1, 2)
    assert list(updates(one)[0]["losses"]) == ["retrieval", "response", "identification", "grounded"]
    assert_same_losses(one, two, rel=EXACT)
    assert_same_weights(one, two, rel=EXACT)


def test_responses_of_one_process_alone_count_as_they_do_in_the_whole_batch(recipe: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(f'{{"query": "who made tool {n}", "positive": "Maker {n} made it."}}\n' for n in range(9)))
    web = f"{{name: web, file: {pairs}, format: pairs, licence: none, objectives: [retrieval], weight: 9.0}}"
    topi = (
        "{name: topi, dataset: topiocqa, objectives: [retrieval, response], conversations: {hold_out: {count: 2, salt: tiny}, part: kept}}"
    )
    only = "{retrieval: 1.0, response: 0.5, identification: 0.0, grounded: 0.0}"
    changes = [f"mixture.sources=[{web}, {topi}]", f"objectives.weights={only}", "training.batch_size=4", "training.steps=4"]
    arguments = [part for change in changes for part in ("--set", change)]
    trained((), recipe, tmp_path / "one", *arguments)
    trained(TORCHRUN, recipe, tmp_path / "two", *arguments)
    assert {tuple(line["losses"]) for line in updates(tmp_path / "one")} == {("retrieval",), ("retrieval", "response")}
    # Of such short texts some gradients are nearly 0, and AdamW's first steps take little more than their sign.
    assert_same_losses(tmp_path / "one", tmp_path / "two", rel=3e-4)


LONG = ("--set", "training.steps=30", "--set", "training.save_every=5")


@pytest.fixture(scope="module")
def undisturbed(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    trained(TORCHRUN, recipe, folder, *LONG)
    return folder


@pytest.mark.parametrize("rank", ["0", "1"])
def test_where_one_process_is_killed_the_other_says_so_and_training_goes_on_later(
    recipe: Path, tmp_path: Path, undisturbed: Path, rank: str
) -> None:
    out = tmp_path / "out"
    process = start(TORCHRUN, recipe, "--out", out, *LONG)
    wait_for(8, out)
    os.kill(children(process)[rank], signal.SIGKILL)
    code, _, error = finished(process)
    assert code == 1, error
    own = [line for line in error.splitlines() if line.startswith(("error: ", "interrupted"))]
    assert len(own) == 1, error
    done = len(updates(out))
    assert 5 <= done < 30
    trained(TORCHRUN, recipe, out, *LONG)
    assert lines(out) == lines(undisturbed)
    assert_same_weights(out, undisturbed, rel=0.0)


def test_the_process_that_is_left_ends_with_one_line_and_a_code_of_its_own(recipe: Path, tmp_path: Path) -> None:
    first, second = two_without_a_launcher(recipe, tmp_path / "out", *LONG)
    wait_for(8, tmp_path / "out")
    second.kill()
    finished(second)
    code, _, error = finished(first)
    assert code == 5
    assert error.count("\n") == 1
    assert error.startswith("error: another of the 2 processes of this training has ended or cannot be reached; finished work is kept")


@pytest.mark.parametrize("way", ["whole models", "FSDP2"])
def test_a_dry_run_in_two_processes_shows_the_plan_once(recipe: Path, tmp_path: Path, way: str) -> None:
    launcher = with_parts(tmp_path) if way == "FSDP2" else ACCELERATE
    code, out, error = finished(start(launcher, recipe, "--dry-run"))
    assert code == 0, error
    assert out.splitlines()[2] == f"2 processes ({way}) on cpu in fp32: batches of at most 8 examples, 4 for each"
    assert out.count("memory of a process") == 1
    assert "sharded over 2" in out
