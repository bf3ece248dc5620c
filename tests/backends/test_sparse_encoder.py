from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from backends.checkpoints import change_json, change_tensors, make_causal, make_encoder, make_tokenizer
from backends.masked import make_masked
from pydantic import ValidationError

from convbench.backends.sparse_encoder import SparseEncoder, SparseModelConfig
from convbench.errors import ResourceError
from convbench.meter import Meter

TEXTS = ["who keeps the lighthouse", "The keeper rows out before dawn, and nobody waits for him at the harbour.", "why"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("masked")
    return {name: make_masked(root / name, name) for name in ("bert", "roberta")}


def encoder(folder: Path, **settings: Any) -> SparseEncoder:
    return SparseEncoder(SparseModelConfig(model=str(folder), device="cpu", dtype="float32", **settings), offline=True)


def directly(folder: Path, text: str, **settings: Any) -> Any:
    """SPLADE's max pooling of one text, by transformers alone."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False, **settings)).logits[0]
    return torch.log(1 + torch.relu(logits)).max(dim=0).values.numpy()


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_equals_transformers_text_by_text(folders: dict[str, Path], name: str) -> None:
    expected = np.stack([directly(folders[name], text) for text in TEXTS])
    for encode in (encoder(folders[name]).encode_queries, encoder(folders[name]).encode_passages):
        found = encode(TEXTS, Meter())
        np.testing.assert_allclose(found.weights.toarray(), expected, atol=1e-5)
        assert 0 < found.weights.nnz < found.weights.shape[0] * found.weights.shape[1] / 2
        assert (found.weights.data > 0).all()
        assert found.weights.has_sorted_indices


def test_batches_and_repeated_texts_do_not_show(folders: dict[str, Path]) -> None:
    together = encoder(folders["bert"]).encode_passages([*TEXTS, *TEXTS[::-1]], Meter()).weights.toarray()
    apart = encoder(folders["bert"], batch_tokens=1).encode_passages(TEXTS, Meter()).weights.toarray()
    np.testing.assert_allclose(together[:3], apart, atol=1e-5)
    assert np.array_equal(together[:3], together[:2:-1])


def test_only_the_heaviest_words_are_kept(folders: dict[str, Path]) -> None:
    whole = encoder(folders["bert"]).encode_queries(TEXTS, Meter()).weights.toarray()
    limited = encoder(folders["bert"], query_terms=5, passage_terms=2)
    for found, terms in ((limited.encode_queries(TEXTS, Meter()), 5), (limited.encode_passages(TEXTS, Meter()), 2)):
        for row, full in zip(found.weights.toarray(), whole, strict=True):
            heaviest = np.sort(np.argsort(-full)[:terms])
            assert np.flatnonzero(row).tolist() == heaviest.tolist()
            assert np.array_equal(row[heaviest], full[heaviest])


def test_prefix_lengths_and_what_is_counted(folders: dict[str, Path]) -> None:
    meter = Meter()
    short = encoder(folders["bert"], query_prefix="who: ", query_tokens=8, passage_tokens=9)
    with meter.phase("encode"):
        queries, passages = short.encode_queries(TEXTS, meter), short.encode_passages(TEXTS, meter)
    cut = {"truncation": True, "max_length": 8}
    np.testing.assert_allclose(queries.weights.toarray()[1], directly(folders["bert"], "who: " + TEXTS[1], **cut), atol=1e-5)
    words = make_tokenizer("bert")
    assert queries.cut[1] == len(words("who: " + TEXTS[1], add_special_tokens=False)["input_ids"]) - 6
    assert (queries.tokens[1], passages.tokens[1]) == (8, 9)
    assert meter.take()["phases"]["encode"]["tokens_in"] == sum(queries.tokens) + sum(passages.tokens)


def test_control_tokens_in_a_text_stay_letters(folders: dict[str, Path]) -> None:
    (found,) = encoder(folders["bert"]).encode_passages(["a [SEP] b"], Meter()).weights.toarray()
    np.testing.assert_allclose(found, directly(folders["bert"], "a [ SEP] b"), atol=1e-5)
    assert np.abs(found - directly(folders["bert"], "a [SEP] b")).max() > 1e-3


def test_no_texts(folders: dict[str, Path]) -> None:
    found = encoder(folders["bert"]).encode_queries([], Meter())
    assert (found.weights.shape, found.tokens, found.cut) == ((0, 600), (), ())


class TestTwoModels:
    def test_each_side_has_its_own(self, folders: dict[str, Path], tmp_path: Path) -> None:
        other = make_masked(tmp_path / "other", seed=4)
        two = encoder(folders["bert"], query_model=str(other))
        np.testing.assert_allclose(two.encode_queries(TEXTS[:1], Meter()).weights.toarray()[0], directly(other, TEXTS[0]), atol=1e-5)
        expected = directly(folders["bert"], TEXTS[0])
        np.testing.assert_allclose(two.encode_passages(TEXTS[:1], Meter()).weights.toarray()[0], expected, atol=1e-5)
        assert len(two.parameters) == 2
        assert two.describe()["query"] != two.describe()["passage"]

    def test_they_must_share_a_vocabulary(self, folders: dict[str, Path]) -> None:
        with pytest.raises(ResourceError, match=r"roberta@\w+: its vocabulary \(600 words\) is not that of bert@\w+ .*same family"):
            encoder(folders["bert"], query_model=str(folders["roberta"])).describe()


def test_only_what_changes_passages_is_in_their_description(folders: dict[str, Path]) -> None:
    plain = encoder(folders["bert"])
    for queries in ({"query_terms": 3}, {"query_prefix": "q "}, {"query_tokens": 9}):
        other = encoder(folders["bert"], **queries)
        assert other.describe() != plain.describe()
        assert other.describe_passages() == plain.describe_passages()
    for passages in ({"passage_terms": 3}, {"passage_tokens": 9}, {"batch_tokens": 7}):
        assert encoder(folders["bert"], **passages).describe_passages() != plain.describe_passages()


def test_parameters_are_those_of_the_model(folders: dict[str, Path]) -> None:
    from transformers import AutoModelForMaskedLM

    (count,) = encoder(folders["bert"]).parameters.values()
    assert count == AutoModelForMaskedLM.from_pretrained(folders["bert"]).num_parameters()


class TestRefusals:
    def test_no_head(self, tmp_path: Path) -> None:
        folder = make_encoder(tmp_path / "body", "bert")
        with pytest.raises(ResourceError, match=r"body@\w+: the files lack tensors of BertForMaskedLM: cls\.predictions.*SPLADE model$"):
            encoder(folder).load()

    def test_half_a_head(self, tmp_path: Path) -> None:
        folder = make_masked(tmp_path / "half")
        change_tensors(folder / "model.safetensors", without="transform.dense")
        with pytest.raises(ResourceError, match=r"lack tensors of BertForMaskedLM: cls\.predictions\.transform\.dense\.bias"):
            encoder(folder).load()

    def test_a_layer_is_missing(self, tmp_path: Path) -> None:
        folder = make_masked(tmp_path / "gap")
        change_tensors(folder / "model.safetensors", without="layer.1.")
        with pytest.raises(ResourceError, match=r"weights and config\.json do not belong together"):
            encoder(folder).load()

    def test_a_decoder(self, tmp_path: Path) -> None:
        with pytest.raises(ResourceError, match="llama models predict no masked words; give a SPLADE checkpoint"):
            encoder(make_causal(tmp_path / "llama", "llama")).describe()

    def test_pickled_weights(self, tmp_path: Path) -> None:
        folder = make_masked(tmp_path / "pickled")
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(ResourceError, match="safetensors"):
            encoder(folder).describe()

    def test_another_shape(self, tmp_path: Path) -> None:
        folder = make_masked(tmp_path / "shape")
        change_json(folder / "config.json", intermediate_size=96)
        with pytest.raises(ResourceError, match=r"give the config\.json saved with the weights"):
            encoder(folder).load()

    @pytest.mark.parametrize("change", [{"query_terms": 0}, {"passage_tokens": 2}, {"pooling": "max"}, {"profile": "bge"}])
    def test_settings_that_make_no_sense(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match=next(iter(change))):
            SparseModelConfig(model="m", **change)
