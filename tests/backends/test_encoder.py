from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convbench.backends.base import TextEncoder
from convbench.backends.encoder import HFEncoder
from convbench.backends.placement import ModelConfig
from convbench.backends.pooling import pool
from convbench.errors import ResourceError, UsageError
from convbench.meter import Meter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convbench.backends.base import Vectors

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = [
    "boats",
    "who keeps the lighthouse at the mouth of the northern river, and who paid for the lamp that stands in its window",
    "",
    "The keeper rowed out before dawn. " * 9,
    "naïve 東京 1851",
    "boats",
    "a rope",
]


@cache
def plain(path: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    return AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path, dtype=torch.float32).eval()


@cache
def states(path: str, text: str, max_length: int) -> NDArray[np.float32]:
    import torch

    tokenizer, model = plain(path)
    with torch.no_grad():
        output = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=max_length))
    hidden: NDArray[np.float32] = output.last_hidden_state[0].numpy()
    assert len(hidden) <= max_length
    return hidden


def direct(encoder: HFEncoder, texts: list[str], pooling: str = "mean", max_length: int = 256) -> Vectors:
    """By definition: one text at a time, nothing padded, plain transformers and numpy."""
    vectors = []
    for text in texts:
        hidden = states(str(encoder.checkpoint.located.path), text, max_length)
        vector = {"mean": hidden.mean(axis=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
        vectors.append(vector / np.linalg.norm(vector))
    return np.stack(vectors)


def passages(encoder: HFEncoder, texts: list[str]) -> Vectors:
    return encoder.encode_passages(texts, Meter()).vectors


def queries(encoder: HFEncoder, texts: list[str]) -> Vectors:
    return encoder.encode_queries(texts, Meter()).vectors


def variant(length: int | None = None, batch_tokens: int = 8192, **profile: Any) -> HFEncoder:
    """MiniLM under another profile."""
    if length is not None:
        profile["lengths"] = {"session": length, "passage": length}
    return HFEncoder(ModelConfig(model=MINILM, profile=profile or None, batch_tokens=batch_tokens), offline=True)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_equals_plain_transformers(minilm: HFEncoder, pooling: str) -> None:
    np.testing.assert_allclose(passages(variant(pooling=pooling), TEXTS), direct(minilm, TEXTS, pooling), atol=1e-5)


@pytest.mark.parametrize("padding", ["left", "right"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_batch_equals_single_texts(minilm: HFEncoder, padding: str, pooling: str) -> None:
    encoder = variant(pooling=pooling, padding=padding)
    together = queries(encoder, TEXTS)
    alone = np.concatenate([queries(encoder, [text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, direct(minilm, TEXTS, pooling), atol=1e-5)


@pytest.mark.parametrize("size", [1, 20, 100, 10_000])
def test_vectors_stand_in_the_order_of_the_texts(minilm: HFEncoder, size: int) -> None:
    expected = passages(minilm, TEXTS)
    np.testing.assert_allclose(passages(variant(batch_tokens=size), TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(passages(variant(batch_tokens=size), TEXTS[::-1]), expected[::-1], atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 0.01


def test_long_texts_are_cut_on_the_right(minilm: HFEncoder) -> None:
    cut, uncut = variant(16), variant(64)
    # 16 tokens: [CLS], 14 of the text, [SEP].
    np.testing.assert_allclose(queries(cut, ["boat " * 50]), queries(cut, ["boat " * 14]), atol=1e-6)
    np.testing.assert_allclose(queries(cut, ["boat " * 14 + "storm " * 9]), queries(cut, ["boat " * 14]), atol=1e-6)
    assert np.abs(queries(uncut, ["boat " * 50]) - queries(cut, ["boat " * 50])).max() > 0.001
    np.testing.assert_allclose(passages(cut, TEXTS), direct(minilm, TEXTS, max_length=16), atol=1e-5)


def test_prefixes_belong_to_their_side(minilm: HFEncoder) -> None:
    encoder = variant(query_prefix="query: ", passage_prefix="passage: ")
    np.testing.assert_allclose(queries(encoder, ["boats"]), queries(minilm, ["query: boats"]), atol=1e-6)
    np.testing.assert_allclose(passages(encoder, ["boats"]), passages(minilm, ["passage: boats"]), atol=1e-6)


def test_normalisation_is_a_setting(minilm: HFEncoder) -> None:
    unit, raw = queries(minilm, TEXTS), queries(variant(normalize=False), TEXTS)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    assert np.abs(lengths - 1).max() > 0.1
    np.testing.assert_allclose(raw / lengths, unit, atol=1e-5)


def test_shape_and_type(minilm: HFEncoder) -> None:
    assert isinstance(minilm, TextEncoder)
    assert minilm.dim == 384
    for texts in ([], ["boats"]):
        vectors = queries(minilm, texts)
        assert (vectors.shape, vectors.dtype) == ((len(texts), 384), np.float32)


def test_nearer_texts_have_larger_products(minilm: HFEncoder) -> None:
    query = queries(minilm, ["who looks after the lighthouse"])[0]
    near, far = passages(minilm, ["The lighthouse has a keeper who tends its lamp.", "Bread dough has to rest for an hour."])
    assert query @ near > query @ far + 0.3


class TestPool:
    """Values written out by hand: two texts, the second one shorter; -9 stands where padding is."""

    @pytest.mark.parametrize(
        ("pooling", "expected"),
        [("mean", [[2.0, 20.0], [4.5, 45.0]]), ("cls", [[1.0, 10.0], [4.0, 40.0]]), ("last", [[3.0, 30.0], [5.0, 50.0]])],
    )
    def test_right_padding(self, pooling: str, expected: list[list[float]]) -> None:
        import torch

        hidden = torch.tensor([[[1.0, 10], [2, 20], [3, 30]], [[4, 40], [5, 50], [-9, -9]]])
        assert pool(hidden, torch.tensor([[1, 1, 1], [1, 1, 0]]), pooling).tolist() == expected

    @pytest.mark.parametrize(("pooling", "expected"), [("mean", [[2.0, 20.0], [4.5, 45.0]]), ("last", [[3.0, 30.0], [5.0, 50.0]])])
    def test_left_padding(self, pooling: str, expected: list[list[float]]) -> None:
        import torch

        hidden = torch.tensor([[[1.0, 10], [2, 20], [3, 30]], [[-9, -9], [4, 40], [5, 50]]])
        assert pool(hidden, torch.tensor([[1, 1, 1], [0, 1, 1]]), pooling).tolist() == expected


class TestDescription:
    def test_it_names_weights_settings_and_versions_but_no_place(self, minilm: HFEncoder) -> None:
        described = minilm.describe()
        assert described["model"] == "sentence-transformers/all-MiniLM-L6-v2@53aa51172d14"
        assert {"files", "profile", "torch", "transformers", "device", "dtype", "batch_tokens", "as"} <= set(described)
        assert str(minilm.checkpoint.located.path) not in json.dumps(described)

    def test_settings_that_change_vectors_change_it(self, minilm: HFEncoder) -> None:
        for change in ({"pooling": "cls"}, {"length": 16}, {"query_prefix": "q: "}, {"passage_prefix": "p: "}, {"normalize": False}):
            assert variant(**change).describe() != minilm.describe()

    def test_half_precision_weights_compute_in_full(self, minilm: HFEncoder, tmp_path: Path) -> None:
        import torch
        from transformers import BertConfig, BertModel

        torch.manual_seed(1)
        config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
        BertModel(config).half().save_pretrained(tmp_path)
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            (tmp_path / name).symlink_to(minilm.checkpoint.located.path / name)
        encoder = HFEncoder(ModelConfig(model=str(tmp_path), profile="minilm"), offline=True)
        assert encoder.describe()["dtype"] == "float32"
        assert encoder.passages.model.dtype == torch.float32
        np.testing.assert_allclose(queries(encoder, TEXTS), direct(encoder, TEXTS), atol=1e-5)


def test_nothing_is_located_before_it_is_needed(tmp_path: Path) -> None:
    encoder = HFEncoder(ModelConfig(model=str(tmp_path)), offline=True)
    with pytest.raises(ResourceError, match="no \\*\\.safetensors file"):
        encoder.describe()


@pytest.mark.parametrize("change", [{"lengths": {"session": 0}}, {"pooling": "max"}, {"normalise": True}, {"closing": [""]}])
def test_profiles_that_cannot_work_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        variant(**change).describe()
