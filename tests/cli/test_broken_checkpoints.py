"""A checkpoint that is broken is one clear line, before anything is computed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from backends.checkpoints import change_json, change_tensors, make_causal, make_tokenizer
from command_line import convbench

RESOURCE = 5


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_causal(tmp_path_factory.mktemp("whole") / "model", "llama")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "mine"))


def refused(folder: Path, tmp_path: Path, *more: object) -> str:
    """The one line; nothing is left behind."""
    finished = convbench("run", folder, "-d", "topiocqa", "--out", tmp_path / "run", "--offline", "--metrics", "retrieval", *more)
    assert (finished.code, finished.out) == (RESOURCE, "")
    assert not (tmp_path / "run").exists()
    assert convbench("check", folder, "--offline").error == finished.error
    return finished.error


def test_pickled_weights(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    message = refused(folder, tmp_path)
    assert "pytorch_model.bin" in message
    assert "safetensors" in message


def test_a_truncated_file(folder: Path, tmp_path: Path) -> None:
    weights = folder / "model.safetensors"
    size = weights.stat().st_size
    with weights.open("r+b") as handle:
        handle.truncate(size - 1000)
    message = refused(folder, tmp_path)
    assert "model.safetensors" in message
    assert str(size - 1000) in message.replace(",", "")


def test_a_vocabulary_that_is_not_the_model_s(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    smaller = {name: tensor[:500].clone() for name, tensor in weights.items() if name in ("model.embed_tokens.weight", "lm_head.weight")}
    change_tensors(folder / "model.safetensors", **smaller)
    change_json(folder / "config.json", vocab_size=500)
    message = refused(folder, tmp_path)
    assert "599" in message
    assert "500" in message


def test_a_model_type_that_nobody_knows(folder: Path, tmp_path: Path) -> None:
    change_json(folder / "config.json", model_type="lama")
    message = refused(folder, tmp_path)
    assert "'lama'" in message
    assert "Did you mean 'llama'?" in message


def test_weights_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    change_tensors(folder / "model.safetensors", without="layers.1.mlp")
    finished = convbench("run", folder, "-d", "topiocqa", "--out", tmp_path / "run", "--offline", "--metrics", "retrieval")
    assert finished.code == RESOURCE
    assert "layers.1.mlp" in finished.error


def test_a_closing_token_that_the_vocabulary_lacks(folder: Path, tmp_path: Path) -> None:
    (folder / "convbench.json").write_text('{"pooling": "last", "attention": "causal", "closing": ["[EMB]"]}', encoding="utf-8")
    finished = convbench("run", folder, "-d", "topiocqa", "--out", tmp_path / "run", "--offline", "--metrics", "retrieval")
    assert finished.code == RESOURCE
    assert "'[EMB]' is not one token of the tokenizer's vocabulary" in finished.error


def test_a_head_that_is_missing(folder: Path, tmp_path: Path) -> None:
    change_tensors(folder / "model.safetensors", without="lm_head")
    assert "the files hold no head that writes (such as lm_head.weight)" in refused(folder, tmp_path)


def test_another_model_s_tokenizer(folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    make_tokenizer("bert", folder)
    assert "eos_token_id 2, which in the tokenizer is '[CLS]'" in refused(folder, tmp_path)


def test_hardly_any_positions(folder: Path, tmp_path: Path) -> None:
    change_json(folder / "config.json", max_position_embeddings=10)
    assert "config.json leaves 10 positions" in refused(folder, tmp_path)


def test_settings_for_writing_that_are_no_json(folder: Path, tmp_path: Path) -> None:
    (folder / "generation_config.json").write_text("{", encoding="utf-8")
    assert "generation_config.json:1: the JSON ends early" in refused(folder, tmp_path)


def test_another_encoder_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    write = '{"pooling": "last", "attention": "causal", "responds": false, "query_model": "../nothere"}'
    (folder / "convbench.json").write_text(write, encoding="utf-8")
    assert "query_model names '../nothere'" in refused(folder, tmp_path)


def test_layers_that_nobody_uses(folder: Path, tmp_path: Path) -> None:
    change_json(folder / "config.json", num_hidden_layers=1)
    finished = convbench("run", folder, "-d", "topiocqa", "--out", tmp_path / "run", "--offline", "--metrics", "retrieval")
    assert finished.code == RESOURCE
    assert "the files hold layers.1" in finished.error


def test_a_folder_that_holds_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    finished = convbench("run", tmp_path / "empty", "-d", "topiocqa", "--out", tmp_path / "run", "--offline")
    assert "config.json" in finished.error
    assert finished.code == 2
