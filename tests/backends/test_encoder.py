from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from convbench.backends.base import TextEncoder
from convbench.backends.encoder import EncoderProfile, HFEncoder, _pool
from convbench.errors import ResourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convbench.backends.base import Vectors

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
        hidden = states(str(encoder.located.path), text, max_length)
        vector = {"mean": hidden.mean(axis=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
        vectors.append(vector / np.linalg.norm(vector))
    return np.stack(vectors)


@pytest.fixture
def variant(minilm: HFEncoder) -> Any:
    """MiniLM under another profile, its weights shared."""

    def make(**profile: Any) -> HFEncoder:
        encoder = HFEncoder(minilm.profile.model_copy(update=profile), offline=True)
        encoder.__dict__["_model"] = minilm._model
        return encoder

    return make


@pytest.fixture(scope="session")
def left_padded(minilm: HFEncoder, tmp_path_factory: pytest.TempPathFactory) -> HFEncoder:
    """MiniLM as a checkpoint whose tokenizer pads on the left."""
    folder = tmp_path_factory.mktemp("left-padded")
    for path in minilm.located.path.iterdir():
        (folder / path.name).symlink_to(path)
    config = folder / "tokenizer_config.json"
    content = json.loads(config.read_text(encoding="utf-8"))
    config.unlink()
    config.write_text(json.dumps(content | {"padding_side": "left"}), encoding="utf-8")
    return HFEncoder(EncoderProfile(model=str(folder)), offline=True)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_equals_plain_transformers(minilm: HFEncoder, variant: Any, pooling: str) -> None:
    np.testing.assert_allclose(variant(pooling=pooling).encode_passages(TEXTS), direct(minilm, TEXTS, pooling), atol=1e-5)


@pytest.mark.parametrize("side", ["minilm", "left_padded"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_batch_equals_single_texts(request: pytest.FixtureRequest, minilm: HFEncoder, side: str, pooling: str) -> None:
    encoder = HFEncoder(request.getfixturevalue(side).profile.model_copy(update={"pooling": pooling}), offline=True)
    encoder.__dict__["_model"] = minilm._model
    together = encoder.encode_queries(TEXTS)
    alone = np.concatenate([encoder.encode_queries([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, direct(minilm, TEXTS, pooling), atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_vectors_stand_in_the_order_of_the_texts(minilm: HFEncoder, variant: Any, size: int) -> None:
    expected = minilm.encode_passages(TEXTS)
    np.testing.assert_allclose(variant(batch_size=size).encode_passages(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(variant(batch_size=size).encode_passages(TEXTS[::-1]), expected[::-1], atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 0.01


def test_long_texts_are_cut_on_the_right(minilm: HFEncoder, variant: Any) -> None:
    cut, uncut = variant(max_length=16), variant(max_length=64)
    # 16 tokens: [CLS], 14 of the text, [SEP].
    np.testing.assert_allclose(cut.encode_queries(["boat " * 50]), cut.encode_queries(["boat " * 14]), atol=1e-6)
    np.testing.assert_allclose(cut.encode_queries(["boat " * 14 + "storm " * 9]), cut.encode_queries(["boat " * 14]), atol=1e-6)
    assert np.abs(uncut.encode_queries(["boat " * 50]) - cut.encode_queries(["boat " * 50])).max() > 0.001
    np.testing.assert_allclose(cut.encode_passages(TEXTS), direct(minilm, TEXTS, max_length=16), atol=1e-5)


def test_prefixes_belong_to_their_side(minilm: HFEncoder, variant: Any) -> None:
    encoder = variant(query_prefix="query: ", passage_prefix="passage: ")
    np.testing.assert_allclose(encoder.encode_queries(["boats"]), minilm.encode_queries(["query: boats"]), atol=1e-6)
    np.testing.assert_allclose(encoder.encode_passages(["boats"]), minilm.encode_passages(["passage: boats"]), atol=1e-6)


def test_normalisation_is_a_setting(minilm: HFEncoder, variant: Any) -> None:
    unit, raw = minilm.encode_queries(TEXTS), variant(normalize=False).encode_queries(TEXTS)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    assert np.abs(lengths - 1).max() > 0.1
    np.testing.assert_allclose(raw / lengths, unit, atol=1e-5)


def test_shape_and_type(minilm: HFEncoder) -> None:
    assert isinstance(minilm, TextEncoder)
    assert minilm.dim == 384
    for texts in ([], ["boats"]):
        vectors = minilm.encode_queries(texts)
        assert (vectors.shape, vectors.dtype) == ((len(texts), 384), np.float32)


def test_nearer_texts_have_larger_products(minilm: HFEncoder) -> None:
    query = minilm.encode_queries(["who looks after the lighthouse"])[0]
    near, far = minilm.encode_passages(["The lighthouse has a keeper who tends its lamp.", "Bread dough has to rest for an hour."])
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
        assert _pool(hidden, torch.tensor([[1, 1, 1], [1, 1, 0]]), pooling).tolist() == expected

    @pytest.mark.parametrize(("pooling", "expected"), [("mean", [[2.0, 20.0], [4.5, 45.0]]), ("last", [[3.0, 30.0], [5.0, 50.0]])])
    def test_left_padding(self, pooling: str, expected: list[list[float]]) -> None:
        import torch

        hidden = torch.tensor([[[1.0, 10], [2, 20], [3, 30]], [[-9, -9], [4, 40], [5, 50]]])
        assert _pool(hidden, torch.tensor([[1, 1, 1], [0, 1, 1]]), pooling).tolist() == expected


class TestDescription:
    def test_it_names_weights_settings_and_versions_but_no_place(self, minilm: HFEncoder) -> None:
        described = minilm.describe()
        assert described["model"] == "sentence-transformers/all-MiniLM-L6-v2@53aa51172d14"
        assert {"pooling", "max_length", "query_prefix", "torch", "transformers", "device", "dtype"} <= set(described)
        assert str(minilm.located.path) not in json.dumps(described)

    def test_settings_that_change_vectors_change_it(self, minilm: HFEncoder, variant: Any) -> None:
        for change in ({"pooling": "cls"}, {"max_length": 16}, {"query_prefix": "q: "}, {"passage_prefix": "p: "}, {"normalize": False}):
            assert variant(**change).describe() != minilm.describe()

    def test_half_precision_weights_compute_in_full(self, minilm: HFEncoder, tmp_path: Path) -> None:
        import torch
        from transformers import BertConfig, BertModel

        torch.manual_seed(1)
        config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
        BertModel(config).half().save_pretrained(tmp_path)
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            (tmp_path / name).symlink_to(minilm.located.path / name)
        encoder = HFEncoder(EncoderProfile(model=str(tmp_path)), offline=True)
        assert encoder.describe()["dtype"] == "float32"
        assert encoder._model.dtype == torch.float32
        np.testing.assert_allclose(encoder.encode_queries(TEXTS), direct(encoder, TEXTS), atol=1e-5)


def test_nothing_is_located_before_it_is_needed(tmp_path: Path) -> None:
    encoder = HFEncoder(EncoderProfile(model=str(tmp_path)), offline=True)
    with pytest.raises(ResourceError, match="no \\*\\.safetensors file"):
        encoder.describe()


@pytest.mark.parametrize("change", [{"max_length": 0}, {"batch_size": 0}, {"pooling": "max"}, {"normalise": True}])
def test_profiles_that_cannot_work_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        EncoderProfile(**{"model": "m", **change})
