from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from backends.checkpoints import VOCABULARY, make_causal, make_encoder
from training.facts import facts

from convbench.backends.checkpoint import open_checkpoint
from convbench.backends.loaded import can_respond
from convbench.backends.placement import ModelConfig
from convbench.errors import ResourceError
from convbench.training.output import write_checkpoint
from convbench.training.trainable import Trainable, TrainableSettings, open_trainable

LENGTHS = {"session": 48, "passage": 48, "evidence": 32, "prompt": 96}
MEAN = {"pooling": "mean", "attention": "bidirectional", "closing": ("[SEP]",), "lengths": LENGTHS}
LAST = {"pooling": "last", "attention": "causal", "closing": ("</s>",), "lengths": LENGTHS}
NEW = TrainableSettings(new_head=True, dropout=0.0)
TEXT = "who built the bridge"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder"), "bert")


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_causal(tmp_path_factory.mktemp("untied"), "llama", tie_word_embeddings=False)


def opened(folder: Path, profile: dict[str, Any], settings: TrainableSettings | None = NEW, seed: int = 0) -> Trainable:
    torch.manual_seed(seed)
    return open_trainable(ModelConfig(model=str(folder), profile=profile, device="cpu"), settings, offline=True)


def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**tokenizer(TEXT, return_tensors="pt")).logits
    return found


@cache
def written(folder: Path, out: Path) -> Trainable:
    model = opened(folder, MEAN)
    with torch.no_grad():  # as training would: all of it is moved
        for weight in model.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    write_checkpoint(model.loaded.model, model.loaded.tokenizer, model.loaded.profile, facts(), out)
    return model


@pytest.fixture(scope="module")
def trained(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainable, Path]:
    out = tmp_path_factory.mktemp("out") / "trained"
    return written(encoder, out), out


def test_an_encoder_gets_the_head_of_its_architecture(encoder: Path) -> None:
    checkpoint = open_checkpoint(str(encoder), offline=True)
    model = opened(encoder, MEAN)
    loaded = model.loaded
    assert not checkpoint.writes
    assert loaded.profile.lm_head == "checkpoint"
    assert loaded.has_head
    head = loaded.model.cls.predictions
    hidden = loaded.model.config.hidden_size
    assert head.decoder.weight.shape == (VOCABULARY, hidden)
    assert head.decoder.weight is loaded.model.get_input_embeddings().weight
    assert torch.equal(head.transform.dense.weight, torch.eye(hidden))
    assert torch.equal(head.transform.LayerNorm.weight, torch.ones(hidden))
    assert not any(weight.any() for name, weight in head.named_parameters() if name.endswith("bias"))
    assert all(parameter.requires_grad for parameter in loaded.model.parameters())
    assert len({id(parameter) for parameter in model.parameters()}) == len(model.parameters())
    found = logits(loaded.model, loaded.tokenizer)
    assert found.shape[-1] == VOCABULARY
    assert found.isfinite().all()
    assert found.std() > 0


def test_what_encodes_is_the_checkpoints_own(encoder: Path) -> None:
    from transformers import AutoModel

    own = AutoModel.from_pretrained(encoder, add_pooling_layer=False).state_dict()
    body = opened(encoder, MEAN).loaded.body.state_dict()
    assert body.keys() == own.keys()
    assert all(torch.equal(body[name], own[name]) for name in own)


def test_a_written_checkpoint_needs_no_new_head(trained: tuple[Trainable, Path]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, folder = trained
    expected = logits(model.loaded.model, model.loaded.tokenizer)
    plain, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    assert plain.get_output_embeddings().weight is plain.get_input_embeddings().weight
    assert (logits(plain, AutoTokenizer.from_pretrained(folder)) - expected).abs().max() <= 1e-6
    checkpoint = open_checkpoint(str(folder), offline=True)
    assert can_respond(checkpoint, model.loaded.profile)
    again = open_trainable(ModelConfig(model=str(folder), device="cpu"), offline=True)
    assert again.loaded.profile == model.loaded.profile
    assert (logits(again.loaded.model, again.loaded.tokenizer) - expected).abs().max() <= 1e-6


def test_vectors_of_a_written_checkpoint(trained: tuple[Trainable, Path]) -> None:
    from convbench.backends.encode import encode_batch

    model, folder = trained
    again = open_trainable(ModelConfig(model=str(folder), device="cpu"), offline=True)
    for each in (model, again):
        each.module.eval()
    form = model.loaded.form
    inputs = [[*form.opening, *form.ids(text), *form.closing] for text in (TEXT, "it was built in 1933 by many hands")]
    one, other = (encode_batch(each.loaded, inputs, skip=0, padding="right") for each in (model, again))
    assert abs(one - other).max() <= 1e-6


def test_the_seed_decides(encoder: Path, untied: Path) -> None:
    for folder, profile in ((encoder, MEAN), (untied, LAST)):
        one, same, other = (opened(folder, profile, seed=seed).loaded.model.state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(one[name], same[name]) for name in one)
        differing = [name for name in one if not torch.equal(one[name], other[name])]
        assert differing == ([] if folder == encoder else ["lm_head.weight"])  # an identity is not drawn


def test_an_untied_head_is_drawn_anew(untied: Path) -> None:
    model = opened(untied, LAST).loaded.model
    own = opened(untied, LAST, TrainableSettings(dropout=0.0)).loaded.model
    assert model.lm_head.weight is not model.get_input_embeddings().weight
    assert model.lm_head.weight.shape == own.lm_head.weight.shape
    assert not torch.equal(model.lm_head.weight, own.lm_head.weight)
    assert float(model.lm_head.weight.detach().std()) == pytest.approx(model.config.initializer_range, rel=0.05)
    assert torch.equal(model.get_input_embeddings().weight, own.get_input_embeddings().weight)


def test_a_decoder_without_its_head_gets_one(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path, "qwen3")
    profile = {**LAST, "closing": ("<|endoftext|>",)}
    model = opened(folder, profile)
    assert model.loaded.model.lm_head.weight is model.loaded.model.get_input_embeddings().weight  # qwen3 ties them
    assert logits(model.loaded.model, model.loaded.tokenizer).isfinite().all()


def test_without_new_head_there_is_none(encoder: Path) -> None:
    assert not opened(encoder, MEAN, TrainableSettings()).loaded.has_head
    with pytest.raises(ResourceError):
        opened(encoder, {**MEAN, "responds": True}, TrainableSettings())
