from __future__ import annotations

from pathlib import Path

import pytest
import torch
from backends.checkpoints import make_encoder
from training.joint import configured, examples, only, settings, stepped, trainable

from convbench.errors import UsageError
from convbench.training.adapting import LoraSettings
from convbench.training.rows import Text, Vector
from convbench.training.step import JointStep
from convbench.training.trainable import TrainableSettings, open_trainable

pytestmark = pytest.mark.slow  # they train, some of them in several processes


@pytest.mark.parametrize("kind", ["llama", "bert"])
@pytest.mark.parametrize("head", ["checkpoint", "embeddings"])
def test_all_weights_are_tuned_and_every_one_that_is_used_gets_a_gradient(kind: str, head: str) -> None:
    model = trainable(kind, lm_head=head)
    stepped(model, settings())
    assert len(model.parameters()) == len({id(each) for each in model.module.parameters()})
    assert all(each.grad is not None for each in model.parameters())


@pytest.mark.parametrize("kind", ["llama", "bert"])
@pytest.mark.parametrize("head", ["checkpoint", "embeddings"])
def test_low_rank_matrices_are_tuned_alone(kind: str, head: str) -> None:
    torch.manual_seed(0)  # the low-rank matrices begin at random
    whole = trainable(kind, lm_head=head)
    adapted = trainable(kind, TrainableSettings(lora=LoraSettings(r=4, dropout=0.0), dropout=0.0), lm_head=head)
    assert JointStep(adapted, settings()).evaluate(examples()[:4], {}) == JointStep(whole, settings()).evaluate(examples()[:4], {})
    weights = sum(each.numel() for each in whole.parameters())
    assert 0 < sum(each.numel() for each in adapted.parameters()) < weights / 5
    assert all("lora_" in name for name, each in adapted.module.named_parameters() if each.requires_grad)
    optimizer = torch.optim.AdamW(adapted.parameters(), lr=1e-3)
    before = JointStep(adapted, settings()).evaluate(examples()[:4], {})["total"]
    for _ in range(4):
        stepped(adapted, settings(packed=True), examples()[:4])
        optimizer.step()
    assert JointStep(adapted, settings()).evaluate(examples()[:4], {})["total"] < before


def test_a_tuned_adapter_merges_into_the_vectors_it_gave() -> None:
    adapted = trainable("llama", TrainableSettings(lora=LoraSettings(r=4, targets=("q_proj", "v_proj")), dropout=0.0))
    texts = [Text((1, 20, 30, 2), Vector("passages", 0)), Text((1, 40, 2), Vector("passages", 1))]
    for name, weight in adapted.module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    adapted.module.eval()
    with torch.no_grad():
        tuned = adapted.encoded(texts)
        adapted.adapter.merge_and_unload()
        merged = adapted.encoded(texts)
    assert torch.allclose(tuned, merged, atol=1e-5)
    assert not torch.allclose(tuned, trainable("llama").encoded(texts), atol=1e-2)


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4, dropout=0.0)])
def test_gradient_checkpointing_changes_no_gradient(lora: LoraSettings | None) -> None:
    plain = trainable("llama", TrainableSettings(lora=lora, dropout=0.0))
    spare = trainable("llama", TrainableSettings(lora=lora, dropout=0.0, gradient_checkpointing=True))
    if lora:
        spare.loaded.model.load_state_dict(plain.loaded.model.state_dict())
    read: list[int] = []
    layer = spare.loaded.model.get_decoder().layers[0].mlp
    hook = layer.register_forward_pre_hook(lambda *_: read.append(1))
    (values, found), (wanted_values, wanted) = (stepped(each, settings(only("response")), examples()[:3]) for each in (spare, plain))
    hook.remove()
    assert len(read) == 2  # once forward, once more on the way back
    assert values.losses == pytest.approx(wanted_values.losses)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_dropout_is_the_checkpoint_s_unless_another_is_asked_for() -> None:
    own, none = trainable("bert", TrainableSettings()), trainable("bert")
    texts = [Text((2, 20, 30, 3), Vector("passages", 0))]
    assert not torch.equal(own.encoded(texts), own.encoded(texts))
    assert torch.equal(none.encoded(texts), none.encoded(texts))
    kept = trainable("bert", TrainableSettings(lora=LoraSettings(r=2, dropout=0.3), dropout=0.0))
    shares = {module.p for module in kept.loaded.model.modules() if isinstance(module, torch.nn.Dropout)}
    assert shares == {0.0, 0.3}


def test_what_cannot_be_tuned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"LoRA cannot be set up: Target modules .*nothing_of_this_name"):
        trainable("llama", TrainableSettings(lora=LoraSettings(targets=("nothing_of_this_name",))))
    with pytest.raises(UsageError, match=r"dropout: found 1\.5, expected a share from 0 up to 1"):
        trainable("llama", TrainableSettings(dropout=1.5))
    other = make_encoder(tmp_path / "other", "bert")
    with pytest.raises(UsageError, match="queries and passages have an encoder each, and one model is tuned for both"):
        trainable("bert", query_model=str(other))


def test_logits_that_a_model_changes_after_its_head_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import LlamaForCausalLM

    plain = LlamaForCausalLM.forward

    def capped(self, *args, **given):  # type: ignore[no-untyped-def]
        output = plain(self, *args, **given)
        output.logits = 5 * torch.tanh(output.logits / 5)
        return output

    monkeypatch.setattr(LlamaForCausalLM, "forward", capped)
    with pytest.raises(UsageError, match="LlamaForCausalLM changes its logits after its head"):
        open_trainable(configured("llama"), offline=True)
