"""``convbench train RECIPE``: what it prints, and what goes wrong in one line with the documented exit code."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import MINI, convbench, succeed
from training.tiny_recipe import values, written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, values())


def train(path: Path | str, out: Path, *arguments: object) -> tuple[object, ...]:
    return ("train", path, "--out", out, "--offline", *arguments)


def settings(**changes: Any) -> list[str]:
    return [part for key, value in changes.items() for part in ("--set", f"{key.replace('__', '.')}={json.dumps(value)}")]


def test_help_is_there_for_the_group_and_for_training() -> None:
    group = succeed("train", "--help").out
    assert "convbench train RECIPE" in group
    assert "mine" in group
    assert "study" in group
    for recipe in ("unified-minilm", "no/such.yaml"):
        own = succeed("train", recipe, "--help").out
        assert own.startswith("Usage: convbench train [OPTIONS] RECIPE")
        assert "--dry-run" in own
    bare = convbench("train")
    assert (bare.code, bare.out) == (2, "")
    assert "convbench train RECIPE" in bare.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("unified-minlm",), 2, "unknown recipe 'unified-minlm'. Did you mean 'unified-minilm'? Known: unified-minilm, unified-paper"),
        (("no/such.yaml",), 3, "no/such.yaml"),
        (("unified-minilm", "--st", "a=1"), 2, "No such option '--st'"),
        (("unified-minilm", "--set", "training"), 2, "--set 'training': expected KEY=VALUE"),
        (("unified-minilm", "--data", "topiocqa"), 2, "--data 'topiocqa': expected DATASET=DIR"),
        (("unified-minilm", "--data", "qrecc=x"), 2, "--data qrecc=x: the recipe uses no dataset 'qrecc'; it uses inscit, topiocqa"),
        (("unified-minilm", "--set", "mixture.sources.x.weight=1"), 2, "nothing there is called 'x'. Known: topiocqa, inscit"),
        (("unified-minilm", "--set", "training.epoch=1"), 2, "train.yaml: training.epoch: extra inputs are not permitted, found 1"),
        (("unified-minilm", "--data", "topiocqa=no/where", "--data", "inscit=no/where", "--set", "training.precision=fp32"), 3, "no/where"),
        (("--set", "training.epoch=1", "unified-minilm"), 2, "training.epoch"),
    ],
)
def test_what_cannot_begin(arguments: tuple[str, ...], code: int, said: str, tmp_path: Path) -> None:
    refused = convbench("train", *arguments, "--out", tmp_path / "out")
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_missing_tensorboard_is_told_at_the_start(
    more: tuple[str, ...], path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as an import finds it that is not installed
    refused = convbench(*train(path, tmp_path / "out", *settings(training__tensorboard=True), *more))
    assert refused.code == 2
    assert refused.error == "training.tensorboard: the package tensorboard is not installed: pip install tensorboard, or set it to false"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow  # it trains
def test_what_a_training_prints(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = succeed(*train(path, out, "--set", "training.steps=1"))
    steps, *scores, last = first.out.splitlines()
    assert steps == "steps: 1; weights of step 1"
    assert last == f"checkpoint: {out / 'checkpoint'}"
    assert any(line.startswith("topiocqa     convgqr-line/nDCG@3") for line in scores)
    said = succeed(*train(path, out, "--set", "training.steps=1", "--json")).json
    assert said.keys() == {"checkpoint", "steps", "chosen_step", "stopped_early", "best", "results"}
    metrics = {metric["name"]: metric["value"] for metric in said["results"]["topiocqa"]["metrics"]}
    (shown,) = (line for line in scores if "/nDCG@3" in line)
    assert float(shown.split()[-1]) == pytest.approx(100 * metrics["nDCG@3"], abs=0.051)


@pytest.mark.slow  # it trains
def test_paths_of_options_begin_where_the_command_is_given(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    shutil.move(path, recipes / "tiny.yaml")
    shutil.copytree(MINI / "topiocqa", tmp_path / "files")
    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump({"sources": json.loads(json.dumps(values()["mixture"]["sources"]))}))
    monkeypatch.chdir(tmp_path)
    places = ("--data", "topiocqa=files", "--set", "mixture.sources.topi.split=mini", *settings(evaluation__test=[], training__steps=1))
    succeed("train", "recipes/tiny.yaml", "--out", "out", "--offline", *places)
    used = yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())
    assert used["mixture"]["sources"][0]["data"] == str(tmp_path / "files")
    again = convbench("train", "out/recipe.yaml", "--out", "again", "--offline", "--set", "negatives.topi=n.jsonl")
    assert f"{tmp_path / 'n.jsonl'}" in again.error


def generic(folder: Path, *, gold: bool, query: str = "who built it") -> Path:
    """A dataset of one's own, without a collection."""
    folder.mkdir()
    turns = [
        {"conversation_id": "c1", "turn": number, "question": query, "response": f"it was built by many, {number}"}
        | ({"gold": ["p1"]} if gold else {})
        for number in (1, 2)
    ]
    (folder / "conversations.jsonl").write_text("".join(json.dumps(turn) + "\n" for turn in turns))
    return folder


@pytest.mark.parametrize("gold", [True, False])
def test_a_dataset_without_passages_cannot_teach_retrieval(gold: bool, path: Path, tmp_path: Path) -> None:
    data = str(generic(tmp_path / "own", gold=gold))
    source = {"name": "own", "dataset": "generic", "data": data, "objectives": ["retrieval", "response", "identification"]}
    refused = convbench(*train(path, tmp_path / "out", *settings(mixture__sources=[source], evaluation__test=[])))
    assert refused.code in (2, 3)
    assert "own" in refused.error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow  # it trains
def test_a_question_that_is_too_long_is_named(path: Path, tmp_path: Path) -> None:
    short = settings(model__profile__lengths={"session": 12, "passage": 24, "evidence": 24, "prompt": 160})
    refused = convbench(*train(path, tmp_path / "out", *short))
    assert refused.code == 2
    message = refused.err.splitlines()[-1]
    assert message.startswith("error: turn ")
    assert "tokens, and 10 fit into a session: raise lengths.session" in message
    assert not (tmp_path / "out" / "checkpoint").exists()


@pytest.mark.slow  # it trains
def test_a_loss_that_is_no_number_ends_it_and_a_lower_rate_mends_it(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = convbench(*train(path, out, *settings(training__learning_rate=1e30, training__save_every=50, evaluation__test=[])))
    message = ended.err.splitlines()[-1]
    assert ended.code == 7
    assert f"error: {out / 'nan-batch.json'}: " in message
    assert "there is no checkpoint yet" in message
    saved = json.loads((out / "nan-batch.json").read_text())
    assert saved["step"] > 1
    assert saved["ids"]
    assert all(id_.startswith("topi/") for id_ in saved["ids"])
    assert not (out / "checkpoint").exists()
    succeed(*train(path, out, *settings(training__save_every=50, evaluation__test=[])))
    assert [json.loads(line)["step"] for line in (out / "train.jsonl").read_text().splitlines()] == [1, 2, 3, 4]
    assert not (out / "nan-batch.json").exists()


@pytest.mark.slow  # it trains
def test_a_folder_that_holds_something_else_is_left_alone(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "checkpoint").mkdir(parents=True)
    (out / "checkpoint" / "thesis.txt").write_text("mine")
    refused = convbench(*train(path, out, *settings(evaluation__test=[], training__steps=1)))
    assert refused.code == 2
    assert "holds thesis.txt, which is no part of a checkpoint" in refused.err.splitlines()[-1]
    assert (out / "checkpoint" / "thesis.txt").read_text() == "mine"
