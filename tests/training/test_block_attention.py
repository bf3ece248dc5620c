from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from backends.checkpoints import make_causal, make_tokenizer
from backends.small import DECODERS, folder_of
from torch import Tensor
from training.joint import configured, examples, only, precise, settings, stepped, trainable

from convbench.training.adapting import LoraSettings
from convbench.training.block_attention import NAME, allow_blocks, reads_blocks
from convbench.training.data.examples import Example
from convbench.training.rows import Row
from convbench.training.session_mask import Part
from convbench.training.states import block_states, masked_states
from convbench.training.trainable import Trainable, TrainableSettings, open_trainable

pytestmark = pytest.mark.slow  # they train

WINDOWS: dict[str, dict[str, Any]] = {
    "mistral, window": {"sliding_window": 40},
    "qwen3, windows in some layers": {"use_sliding_window": True, "sliding_window": 40, "max_window_layers": 1},
}
SHAPES = {
    "a lone token": [(Part(1),)],
    "a turn without history": [(Part(2), Part(1, ((0, 2),)), Part(9, ((1, 1),)))],
    "one turn": [(Part(90), Part(2, ((0, 90),)), Part(7, ((1, 2),)), Part(70, ((0, 90),)))],
    "a long trunk": [(Part(300), Part(1, ((0, 300),)), Part(80, ((0, 290),)))],
    "responses of several lengths": [
        (
            Part(120),
            *(Part(2, ((0, end),)) for end in (30, 75, 120)),
            Part(0, ((1, 2),)),
            Part(1, ((2, 2),)),
            Part(66, ((3, 2),)),
            *(Part(length, ((0, end),)) for end, length in ((30, 100), (75, 3), (120, 64))),
        )
    ],
    "rows side by side": [(Part(12),), (Part(70), Part(1, ((0, 70),))), (Part(65),), (Part(3), Part(80, ((0, 3),)))],
}


@pytest.fixture(scope="module", params=[*DECODERS, *WINDOWS])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trainable:
    kind = request.param.partition(",")[0]
    folder = make_causal(tmp_path_factory.mktemp("window"), kind, **WINDOWS[request.param]) if request.param in WINDOWS else folder_of(kind)
    return open_trainable(configured(kind, folder), TrainableSettings(dropout=0.0), offline=True)


@contextmanager
def by_masks(model: Trainable) -> Iterator[None]:
    """Reads the model as one of which the architecture allows no blocks."""
    model.loaded.model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.loaded.model.set_attn_implementation(NAME)


def rows_of(shape: list[tuple[Part, ...]]) -> list[Row]:
    drawn = random.Random(0)
    return [Row(tuple(drawn.randrange(10, 590) for _ in range(sum(part.length for part in parts))), parts, ()) for parts in shape]


def conversations() -> tuple[Example, ...]:
    """Turns of three conversations: one whole, one of a single turn, and one without its beginning."""
    every = examples()
    first = [each for each in every if each.conversation == every[0].conversation]
    others = [each for each in every if each.conversation != every[0].conversation]
    return (*first, others[0], *[each for each in others if each.conversation != others[0].conversation][2:4])


def check(found: tuple[Any, Tensor], wanted: tuple[Any, Tensor]) -> None:
    assert found[0].losses == pytest.approx(wanted[0].losses, rel=1e-5)
    assert found[0].tokens <= wanted[0].tokens
    assert wanted[1].abs().max() > 0.05
    assert (found[1] - wanted[1]).abs().max() <= 1e-5 * max(1.0, float(wanted[1].abs().max()))


@pytest.mark.parametrize("shape", SHAPES)
def test_states_and_gradients_are_those_of_masks(model: Trainable, shape: str) -> None:
    double = precise(model)  # else rounding is most of a key's bias, of which the gradient is 0
    rows = rows_of(SHAPES[shape])
    results = []
    for read in (block_states, masked_states):
        double.module.zero_grad()
        padded = read(double.loaded, rows, torch.float64)
        states = torch.cat([own[: len(row.tokens)] for own, row in zip(padded, rows, strict=True)])
        torch.manual_seed(0)
        (states * torch.randn_like(states)).sum().backward()
        gradients = [each.grad.flatten() for each in double.parameters() if each.grad is not None]
        results.append((states.detach(), torch.cat(gradients)))
    (found, own), (wanted, theirs) = results
    assert (found - wanted).abs().max() <= 1e-6 * wanted.abs().max()
    assert (own - theirs).norm() <= 1e-6 * theirs.norm()


def test_packed_conversations_have_the_losses_and_gradients_of_a_row_a_turn_and_of_masks(model: Trainable) -> None:
    assert reads_blocks(model.loaded)
    found = stepped(model, settings(packed=True), conversations())
    with by_masks(model):
        assert not reads_blocks(model.loaded)
        check(found, stepped(model, settings(packed=True), conversations()))
        check(found, stepped(model, settings(), conversations()))
    check(found, stepped(model, settings(), conversations()))


@pytest.mark.parametrize("objective", ["retrieval", "response", "grounded"])
def test_a_single_turn(model: Trainable, objective: str) -> None:
    batch = examples()[:1] if objective != "retrieval" else (examples()[0], examples()[6])
    assert not batch[0].turn.history
    found = stepped(model, settings(only(objective), packed=True), batch)
    with by_masks(model):
        check(found, stepped(model, settings(only(objective)), batch))


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4, dropout=0.0)])
def test_layers_that_are_computed_again_are_computed_by_blocks_again(lora: LoraSettings | None) -> None:
    plain = trainable("llama", TrainableSettings(lora=lora, dropout=0.0))
    spare = trainable("llama", TrainableSettings(lora=lora, dropout=0.0, gradient_checkpointing=True))
    if lora:
        for name, weight in plain.module.named_parameters():
            if "lora_B" in name:  # starts at zero, where the other matrix gets no gradient
                torch.nn.init.normal_(weight, std=0.2)
        spare.loaded.model.load_state_dict(plain.loaded.model.state_dict())
    assert reads_blocks(spare.loaded)
    found = stepped(spare, settings(packed=True, chunk_tokens=600))
    with by_masks(plain):
        check(found, stepped(plain, settings(packed=True)))


def test_nothing_else_that_is_read_with_the_model_changes(tmp_path: Path) -> None:
    model = trainable("llama")
    whole = model.loaded.model.eval()
    ids, mask = torch.randint(10, 590, (2, 12)), torch.ones(2, 12, dtype=torch.long)
    mask[0, :4] = 0
    with torch.no_grad():
        found = whole(input_ids=ids, attention_mask=mask).logits, whole.generate(ids, attention_mask=mask, max_new_tokens=5)
        with by_masks(model):
            wanted = whole(input_ids=ids, attention_mask=mask).logits, whole.generate(ids, attention_mask=mask, max_new_tokens=5)
    assert torch.equal(found[0], wanted[0])
    assert torch.equal(found[1], wanted[1])
    whole.save_pretrained(tmp_path)
    assert NAME not in json.dumps(json.loads((tmp_path / "config.json").read_text(encoding="utf-8")))


def test_what_cannot_be_read_by_blocks_keeps_its_masks(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(1)
    size = {"n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "n_positions": 512, "initializer_range": 0.2}
    tokenizer = make_tokenizer("llama", tmp_path)
    config = AutoConfig.for_model("gptj", vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2, **size)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = open_trainable(configured("gptj", tmp_path), TrainableSettings(dropout=0.0), offline=True)
    assert not reads_blocks(model.loaded)
    check(stepped(model, settings(packed=True)), stepped(model, settings()))


def test_only_torch_s_attention_on_a_cpu_is_replaced() -> None:
    model = trainable("llama")
    for name in ("eager", "sdpa"):
        model.loaded.model.set_attn_implementation(name)
        allow_blocks(replace(model.loaded, device="cuda"))
        assert not reads_blocks(model.loaded)
    model.loaded.model.set_attn_implementation("eager")
    allow_blocks(model.loaded)
    assert not reads_blocks(model.loaded)
    check(stepped(model, settings(packed=True)), stepped(model, settings()))
