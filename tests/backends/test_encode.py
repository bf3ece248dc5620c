"""Encoding does not depend on the batch or on the side of the padding, and attends as the profile says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from backends.checkpoints import make_causal
from backends.small import DECODERS, conversation, decoder

from convbench.backends.batches import batch_limit
from convbench.backends.encode import encode_batch, encode_inputs
from convbench.backends.loaded import load
from convbench.backends.placement import ModelConfig
from convbench.meter import Meter

EQUAL = 1e-5
FORMS = [("last", "causal"), ("mean", "causal"), ("mean", "bidirectional"), ("cls", "bidirectional"), ("last", "bidirectional")]


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize(("pooling", "attention"), FORMS)
def test_a_batch_gives_what_each_text_gives_alone_under_both_paddings(architecture: str, pooling: str, attention: str) -> None:
    loaded = decoder(architecture, pooling=pooling, attention=attention)
    inputs = [(*session, *loaded.form.closing) for session in conversation(loaded, 7, seed=3)]
    alone = np.concatenate([encode_batch(loaded, [ids], skip=0, padding="right") for ids in inputs])
    for padding in ("left", "right"):
        assert np.abs(encode_batch(loaded, inputs, skip=0, padding=padding) - alone).max() < EQUAL
    batches = encode_inputs(loaded, inputs, Meter(), batch_tokens=150)
    assert np.abs(batches - alone).max() < EQUAL
    assert np.abs(alone[0] - alone[1]).max() > 100 * EQUAL or pooling == "cls"


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen3"])
def test_bidirectional_is_what_the_model_gives_when_its_layers_are_told_not_to_be_causal(architecture: str) -> None:
    """GritLM's encoding on a stock decoder: mean over the text's own tokens."""
    loaded = decoder(architecture, pooling="mean", attention="bidirectional", pool_prefix=False)
    ids = (*conversation(loaded, 3, seed=8)[-1], *loaded.form.closing)
    found = encode_batch(loaded, [ids], skip=5, padding="right")[0]
    causal = decoder(architecture, pooling="mean", attention="causal", pool_prefix=False)
    for module in causal.body.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False
    with torch.inference_mode():
        embedded = causal.body.get_input_embeddings()(torch.tensor([ids], device=causal.device))
        everything = torch.zeros(1, 1, len(ids), len(ids), device=causal.device)
        hidden = causal.body(inputs_embeds=embedded, attention_mask=everything).last_hidden_state[0, 5:]
    expected = torch.nn.functional.normalize(hidden.mean(dim=0), dim=-1).cpu().numpy()
    assert np.abs(found - expected).max() < EQUAL
    masked = encode_batch(decoder(architecture, pooling="mean", attention="causal", pool_prefix=False), [ids], skip=5, padding="right")[0]
    assert np.abs(found - masked).max() > 100 * EQUAL


def test_equal_lengths_longest_first_within_a_budget() -> None:
    from convbench.backends.batches import length_batches

    batches = list(length_batches([3, 9, 1, 9, 4, 20], 18, rows=2))
    assert batches == [[5], [1, 3], [4, 0], [2]]
    assert list(length_batches([], 10)) == []


@pytest.mark.parametrize("architecture", ["mistral", "qwen3"])
def test_both_directions_keep_a_window_as_transformers_does(architecture: str, tmp_path: Path) -> None:
    window = {"sliding_window": 16, **({"use_sliding_window": True, "max_window_layers": 1} if architecture == "qwen3" else {})}
    folder = make_causal(tmp_path, architecture, **window)
    profile = {"pooling": "mean", "attention": "bidirectional", "closing": []}
    loaded = load(ModelConfig(model=str(folder), profile=profile), "decoder", offline=True)
    ids = conversation(loaded, 6, seed=2)[-1]
    assert len(ids) > 40
    found = encode_batch(loaded, [ids], skip=0, padding="right")[0]
    with torch.inference_mode():
        hidden = loaded.body(input_ids=torch.tensor([ids], device=loaded.device), is_causal=False).last_hidden_state[0]
    expected = torch.nn.functional.normalize(hidden.mean(dim=0), dim=-1).cpu().numpy()
    assert np.abs(found - expected).max() < EQUAL


def test_on_a_processor_batches_are_small_and_give_what_large_ones_give(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = decoder("llama", pooling="mean")
    inputs = [session for seed in range(12) for session in conversation(loaded, 6, seed=seed)]
    assert sum(map(len, inputs)) > 4 * 512
    small, large = Meter(), Meter()
    with small.phase("encode"):
        found = encode_inputs(loaded, inputs, small, batch_tokens=8192)
    monkeypatch.setattr("convbench.backends.batches._FITS_CACHES", 8192)
    with large.phase("encode"):
        expected = encode_inputs(loaded, inputs, large, batch_tokens=8192)
    assert np.abs(found - expected).max() < EQUAL
    few, many = (meter.take()["phases"]["encode"]["forward_passes"] for meter in (large, small))
    assert few == 1 < 4 < many
    assert (batch_limit("cpu", 300), batch_limit("cuda", 8192)) == (300, 8192)
