"""Encoders that compute approximately say how far they agree with the exact ones, and their vectors never mix."""

from __future__ import annotations

import gc
import logging
import weakref
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends.checkpoints import make_causal, make_encoder, mini_texts
from scipy.stats import spearmanr

from convbench.backends import loaded
from convbench.backends.approximation import TEXTS, agreement
from convbench.backends.encode import encode_inputs
from convbench.backends.encoder import HFEncoder
from convbench.backends.loaded import Loaded, assemble
from convbench.backends.placement import EncoderDtype, ModelConfig, resolve_dtype
from convbench.backends.sessions import can_share
from convbench.errors import UsageError
from convbench.harness.costs import added_up
from convbench.meter import Meter
from convbench.training.recipe import build_recipe, read_values, recipe_path

MEAN = {"pooling": "mean", "attention": "bidirectional", "normalize": True}
LAST = {"pooling": "last", "attention": "causal", "closing": ["</s>"]}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("bert"), "bert", initializer_range=0.05)


def encoder(folder: Path, dtype: EncoderDtype, **profile: object) -> HFEncoder:
    return HFEncoder(ModelConfig(model=str(folder), device="cpu", dtype=dtype, profile=profile or MEAN), offline=True)


def test_equal_vectors_agree_wholly_and_opposite_ones_not_at_all() -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    same, opposite = agreement(vectors, vectors), agreement(vectors, -vectors)
    assert same.min_cosine == pytest.approx(1)
    assert same.rank_correlation == pytest.approx(1)
    assert opposite.mean_cosine == pytest.approx(-1)
    assert opposite.rank_correlation == pytest.approx(1)
    assert agreement(vectors[:2], vectors[:2]).rank_correlation is None
    assert agreement(np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)).min_cosine == 0


def test_the_rank_correlation_is_spearmans_with_ties() -> None:
    random = np.random.default_rng(1)
    one, two = (random.integers(-1, 2, size=(12, 3)).astype(np.float32) for _ in range(2))
    expected = []
    for row in range(12):
        scores = [np.delete(vectors @ vectors[row], row) for vectors in (one, two)]
        expected.append(spearmanr(*scores).statistic if all(np.ptp(each) for each in scores) else 0.0)
    assert agreement(one, two).rank_correlation == pytest.approx(np.mean(expected))


def test_int8_is_near_float32_and_the_same_in_every_batch(bert: Path) -> None:
    texts = list(dict.fromkeys(mini_texts()))[:40]
    exact, approximate = (encoder(bert, dtype).encode_passages(texts, Meter()).vectors for dtype in ("float32", "int8"))
    difference = np.abs(exact - approximate).max()
    assert 1e-4 < difference < 0.1
    assert agreement(approximate, exact).min_cosine > 0.98
    again = encoder(bert, "int8")
    some = again.encode_passages(texts[7:12], Meter()).vectors
    assert (some == approximate[7:12]).all()
    assert (again.encode_queries(texts[:1], Meter()).vectors == approximate[:1]).all()


def test_int8_has_a_description_of_its_own(bert: Path) -> None:
    exact, approximate = (encoder(bert, dtype).describe() for dtype in ("float32", "int8"))
    assert {name for name in exact if exact[name] != approximate[name]} == {"dtype"}
    assert approximate["dtype"] == "int8"


def exact_models(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Loaded]]:
    """The exact models that are loaded from now on."""
    seen: list[weakref.ref[Loaded]] = []

    def noted(*given: Any, **options: Any) -> Loaded:
        found = assemble(*given, **options)
        seen.append(weakref.ref(found))
        return found

    monkeypatch.setattr(loaded, "assemble", noted)
    return seen


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_texts_are_gathered_from_call_to_call_and_compared_once(
    bert: Path, dtype: EncoderDtype, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, used, meter = list(dict.fromkeys(mini_texts()))[:50], encoder(bert, dtype), Meter()
    used.load()
    exact = exact_models(monkeypatch)
    measured = {}
    with caplog.at_level(logging.WARNING):
        for number, text in enumerate([*texts[:20], *texts]):  # a text that comes again is none more
            with meter.phase("encode"):
                used.encode_queries([text], meter)
            taken = meter.take()
            if "agreements" in taken:
                (measured[number],) = taken["agreements"].values()
            assert ("agreement" in taken["phases"]) == (number in measured)
    meter.settle()
    (found,) = measured.values()
    assert list(measured) == [20 + TEXTS - 1]
    assert "agreements" not in meter.take()
    vectors = [encoder(bert, each).encode_queries(texts[:TEXTS], Meter()).vectors for each in (dtype, "float32")]
    expected = agreement(*vectors)
    assert found == pytest.approx(asdict(expected), abs=1e-3)  # other batches, in bfloat16 other roundings
    (line,) = [record.getMessage() for record in caplog.records if "is approximate" in record.getMessage()][:1]
    assert f"in {dtype} is approximate: cosine of 32 texts' vectors" in line
    assert "rank correlation" in line
    assert "`convbench diff " in line
    assert "benchmarks/int8_encoding.py" in line
    gc.collect()
    assert exact[0]() is None


def test_many_texts_are_compared_at_once_and_chosen_from_all_over(bert: Path) -> None:
    texts, used, meter = list(dict.fromkeys(mini_texts()))[:50], encoder(bert, "int8"), Meter()
    vectors = used.encode_queries(texts, meter).vectors
    (found,) = meter.take()["agreements"].values()
    chosen = [texts[number * 50 // TEXTS] for number in range(TEXTS)]
    rows = [texts.index(text) for text in chosen]
    expected = agreement(vectors[rows], encoder(bert, "float32").encode_queries(chosen, Meter()).vectors)
    assert found == pytest.approx(asdict(expected), abs=1e-5)


def test_the_end_of_the_stage_compares_what_there_is(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used, meter = encoder(bert, "int8"), Meter()
    used.load()
    exact = exact_models(monkeypatch)
    for text in ("a rope", "boats", "a lamp", "boats"):
        used.encode_queries([text], meter)
    assert exact == []
    with meter.phase("search"):
        meter.settle()
    taken = meter.take()
    (found,) = taken["agreements"].values()
    assert found["texts"] == 3
    assert found["rank_correlation"] is not None
    assert taken["phases"]["agreement"]["forward_passes"] > 0
    used.encode_queries([f"rope {number}" for number in range(40)], meter)
    meter.settle()
    assert "agreements" not in meter.take()
    gc.collect()
    assert [each() for each in exact] == [None]


def test_texts_of_which_other_tokens_are_pooled_are_compared_as_they_were_encoded(bert: Path) -> None:
    used, exact = encoder(bert, "int8").queries, encoder(bert, "float32").queries
    assert used.approximation is not None
    inputs, meter = [used.form.all_ids([f"a rope and {number} boats"])[0] for number in range(8)], Meter()
    found, expected = [], []
    for number, ids in enumerate(inputs):
        found.append(encode_inputs(used, [ids], meter, batch_tokens=64, skip=number % 3))
        expected.append(encode_inputs(exact, [ids], Meter(), batch_tokens=64, skip=number % 3))
    meter.settle()
    (measured,) = meter.take()["agreements"].values()
    assert measured == pytest.approx(asdict(agreement(np.concatenate(found), np.concatenate(expected))), abs=1e-5)


def test_exact_encoders_say_nothing(bert: Path) -> None:
    meter = Meter()
    encoder(bert, "float32").encode_queries(["a rope", "boats"], meter)
    assert "agreements" not in meter.take()


def test_a_costs_log_tells_of_the_agreement(bert: Path) -> None:
    meter = Meter()
    used = encoder(bert, "int8")
    entries = []
    for batch, texts in enumerate((["a rope"], ["a rope", "boats", "a lamp"])):
        used.encode_queries(texts, meter)
        if batch:
            meter.settle()
        entries.append({"batch": batch, **meter.take()})
    cost = added_up(entries, turns=2)
    assert [each.texts for each in cost.agreements.values()] == [3]
    assert added_up([{"batch": 0, "phases": {}, "models": {}, "indexes": {}}], turns=1).agreements == {}


def test_a_decoder_in_int8_encodes_sessions_apart_and_does_not_write(tmp_path: Path) -> None:
    folder = make_causal(tmp_path, "llama")
    config = ModelConfig(model=str(folder), device="cpu", dtype="int8", profile=LAST)
    retriever = HFEncoder(config, offline=True)
    assert retriever.queries.is_int8
    assert not can_share(retriever.queries)
    assert can_share(HFEncoder(config.model_copy(update={"dtype": "float32"}), offline=True).queries)
    with pytest.raises(UsageError, match="int8 is for encoding"):
        HFEncoder(config, offline=True, to_respond=True).describe()


def test_int8_is_refused_elsewhere_than_on_the_cpu_and_in_training() -> None:
    with pytest.raises(UsageError, match="int8 computes on the CPU only, found device 'cuda'"):
        resolve_dtype("int8", "cuda", None)
    path = recipe_path("unified-minilm")
    values = read_values(path)
    values["model"] = {**values["model"], "dtype": "int8"}
    with pytest.raises(UsageError, match="int8 only encodes"):
        build_recipe(values, path)
