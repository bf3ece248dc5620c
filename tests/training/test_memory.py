from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from backends.checkpoints import make_causal
from torch import Tensor
from training.joint import configured, trainable

from convbench.backends.encoder import HFEncoder
from convbench.backends.loaded import load
from convbench.backends.placement import ModelConfig
from convbench.errors import DataError, MissingFileError, ResourceError
from convbench.systems.catalog import shipped
from convbench.training.adapting import LoraSettings, adapted
from convbench.training.memory import LOGITS_AT_ONCE, Chunk, Memory, bare_model, described_model, estimate_memory
from convbench.training.trainable import Trainable, TrainableSettings, open_trainable

MISTRAL = shipped("baselines") / "unified-paper" / "mistral-7b.config.json"
KINDS = ("mistral", "qwen3", "gpt-neox", "bert")
LORA = LoraSettings(r=4)
CHUNK = Chunk(8 * 100, 100, 300)


def estimated(model: Trainable, tuning: TrainableSettings, **changes: Any) -> Memory:
    return estimate_memory(bare_model(model.loaded.model), tuning, CHUNK, **{"name": "small", "precision": "fp32", **changes})


def saved_bytes(model: Trainable, chunk: Chunk) -> int:
    """Bytes that the backward pass keeps of a chunk of random words, the model's own weights apart."""
    own = {weight.untyped_storage().data_ptr() for weight in (*model.module.parameters(), *model.module.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(10, 590, (chunk.tokens // chunk.width, chunk.width))
    mask = torch.zeros(len(ids), 1, chunk.width, chunk.width).masked_fill(torch.ones(chunk.width, chunk.width).triu(1).bool(), -1e9)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        states = model.loaded.body(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    assert states.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("lora", [None, LORA, LoraSettings(r=3, targets=("q_proj", "v_proj"))], ids=["whole", "lora", "two targets"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_gradients_and_moments_are_those_of_a_real_training(kind: str, lora: LoraSettings | None) -> None:
    if lora is not None and lora.targets and kind in {"gpt-neox", "bert"}:
        pytest.skip("its layers have other names")
    tuning = TrainableSettings(lora=lora, dropout=0.0)
    model = trainable(kind, tuning)
    found = estimated(model, tuning)
    ids = torch.randint(10, 590, (2, 9))
    model.logits(model.loaded.body(input_ids=ids, use_cache=False).last_hidden_state).sum().backward()  # type: ignore[no-untyped-call]
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    moments = [each[name] for each in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    parameters = list(model.module.parameters())
    assert found.parameters == sum(map(Tensor.numel, parameters))
    assert found.learnt == sum(map(Tensor.numel, model.parameters()))
    assert found.weights == sum(each.nbytes for each in parameters)
    assert found.gradients == sum(each.grad.nbytes for each in parameters if each.grad is not None)
    assert found.moments == sum(each.nbytes for each in moments)
    assert found.computing == 0


def test_low_rank_matrices_of_a_bfloat16_model_are_float32() -> None:
    tuning = TrainableSettings(lora=LORA)
    config = configured("mistral").model_copy(update={"dtype": "bfloat16"})
    loaded = load(config, "decoder", offline=True)
    found = estimate_memory(bare_model(loaded.model), tuning, CHUNK, name="small", precision="bf16")
    parameters = list(adapted(loaded, LORA).parameters())
    assert found.weights == sum(each.nbytes for each in parameters)
    assert found.gradients == sum(each.nbytes for each in parameters if each.requires_grad) == 4 * found.learnt
    assert found.computing == 2 * found.learnt  # the model's own matrices need no copies


@pytest.mark.parametrize("lora", [None, LORA], ids=["whole", "lora"])
@pytest.mark.parametrize("kind", KINDS)
def test_activations_are_within_a_fifth_of_what_the_backward_pass_keeps(kind: str, lora: LoraSettings | None) -> None:
    tuning = TrainableSettings(lora=lora, dropout=0.0)  # dropout of attention is not fused on the CPU
    model = trainable(kind, tuning)
    found = estimated(model, tuning)
    measured = saved_bytes(model, CHUNK)
    assert 0.8 < found.kept / measured < 1.2


def test_a_real_small_model_with_a_new_head(minilm: HFEncoder) -> None:
    tuning = TrainableSettings(new_head=True, dropout=0.0)
    profile = {"pooling": "last", "attention": "causal", "closing": ("[SEP]",)}
    path = str(minilm.checkpoint.located.path)
    model = open_trainable(ModelConfig(model=path, profile=profile, device="cpu"), tuning, offline=True)
    found = estimated(model, tuning)
    assert found.parameters == found.learnt == sum(map(Tensor.numel, model.parameters()))
    assert 0.8 < found.kept / saved_bytes(model, CHUNK) < 1.2


@pytest.mark.parametrize("kind", ["mistral", "gpt-neox"])
def test_checkpointing_keeps_the_states_between_layers(tmp_path: Path, kind: str) -> None:
    tuning = TrainableSettings(gradient_checkpointing=True)
    folder = make_causal(tmp_path, kind, num_hidden_layers=12)
    model = open_trainable(configured(kind, folder), tuning, offline=True)
    found = estimated(model, tuning)
    layer = (
        found.kept - found.checkpointed + 12 * CHUNK.tokens * model.loaded.dim * 4
    ) / 11  # computed again one at a time: no hook sees it
    assert 0.75 < (found.checkpointed - layer) / saved_bytes(model, CHUNK) < 1.33
    assert found.total == found.weights + found.gradients + found.moments + found.masks + found.logits + found.checkpointed


def test_a_sharded_run_keeps_parts_and_makes_weights_whole_to_compute() -> None:
    model = described_model(MISTRAL)
    tuning = TrainableSettings(gradient_checkpointing=True)
    whole, shared = (estimate_memory(model, tuning, CHUNK, name="mistral", precision="bf16", processes=processes) for processes in (1, 8))
    assert whole.parameters == whole.learnt == 7_241_732_096
    assert whole.weights == whole.gradients == 2 * whole.parameters  # bfloat16 as it is stored
    assert whole.moments == 4 * whole.parameters
    assert shared.weights == whole.weights / 8  # all its tensors can be cut into eight
    assert shared.moments == whole.moments / 8
    assert shared.computing == 2 * whole.parameters
    assert shared.gradients == 4 * whole.parameters  # summed up in float32
    assert whole.logits == 300 * 32_000 * (2 + 8)


def test_logits_never_exist_for_more_tokens_than_the_loss_takes_at_once() -> None:
    model = described_model(MISTRAL)
    chunks = [Chunk(8192, 4096, predicted) for predicted in (LOGITS_AT_ONCE, 3 * LOGITS_AT_ONCE)]
    found = [estimate_memory(model, TrainableSettings(), chunk, name="mistral", precision="bf16").logits for chunk in chunks]
    assert found[0] == found[1] > 0


def test_rows_add_up_and_checkpointing_decides_which_activations_count() -> None:
    model = described_model(MISTRAL)
    found = [
        estimate_memory(model, TrainableSettings(gradient_checkpointing=each), CHUNK, name="mistral", precision="bf16")
        for each in (True, False)
    ]
    assert found[0].total - found[0].checkpointed == found[1].total - found[1].kept
    assert found[0].total < found[1].total
    for each in found:
        *parts, whole, _ = [float(size) for _, size in each.rows()]
        assert sum(parts) == pytest.approx(whole, abs=0.004)
    assert dict(found[0].rows())["without checkpointing"] == dict(found[1].rows())["in all"]
    assert dict(found[1].rows())["with checkpointing"] == dict(found[0].rows())["in all"]
    assert found[0].as_json()["total"] == found[0].total


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "expected a model's config.json"),
        ('{"hidden_size": 8}', "model_type"),
        ('{"model_type": "misstral"}', "does not describe a decoder"),
    ],
)
def test_what_describes_no_decoder_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises((DataError, ResourceError), match=problem):
        described_model(path)
    with pytest.raises(MissingFileError):
        described_model(tmp_path / "other.json")
