from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from backends.checkpoints import change_json, change_tensors, make_encoder
from backends.classifiers import SENTENCES, WORDS, directly, make_classifier
from pydantic import ValidationError

from convbench.errors import ResourceError, UsageError
from convbench.meter import Meter
from convbench.retrieval.canonical import canonical, is_canonical
from convbench.retrieval.rerank import CrossEncoder, RerankConfig, Reranker, open_reranker
from convbench.types import Passage, Ranking
from convbench.views.passages import passage_text
from convbench.views.query import Query

if TYPE_CHECKING:
    from conftest import StoreOf

CHANCE = random.Random(3)
PASSAGES = [Passage(f"p {n}", " ".join(CHANCE.choices(WORDS, k=CHANCE.randrange(1, 30))), "Old letters"[: n % 3 * 8]) for n in range(24)]
QUERIES = [
    Query("1_1", ("who built the bridge",), question="who built the bridge"),
    Query("1_2", ("and the boat\nwho built the bridge",), question="and the boat"),
]
RANKINGS = [
    canonical("1_1", [(passage.id, 40.0 - n) for n, passage in enumerate(PASSAGES)]),
    canonical("1_2", [(passage.id, float(n)) for n, passage in enumerate(PASSAGES[:9])]),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("rerankers")
    return {
        "bert-1": make_classifier(root / "bert-1", "bert", ("relevance",)),
        "bert-2": make_classifier(root / "bert-2", "bert", ("irrelevant", "relevant")),
        "roberta-1": make_classifier(root / "roberta-1", "roberta", ("LABEL_0",), positions=120),
        "roberta-3": make_classifier(root / "roberta-3", "roberta", ("no", "somewhat", "yes"), positions=120),
    }


def reranker(folder: Path, **settings: Any) -> CrossEncoder:
    return CrossEncoder(RerankConfig(model=str(folder), device="cpu", dtype="float32", **settings), offline=True)


def ids(ranking: Ranking) -> list[str]:
    return [passage_id for passage_id, _ in ranking.passages]


def scores(ranking: Ranking) -> dict[str, float]:
    return dict(ranking.passages)


@pytest.mark.parametrize(
    ("name", "settings", "label"),
    [
        ("bert-1", {}, 0),
        ("bert-2", {"label": "relevant"}, 1),
        ("roberta-1", {}, 0),
        ("roberta-3", {"label": 2}, 2),
        ("roberta-3", {"label": "1"}, 1),
    ],
)
def test_equals_transformers_pair_by_pair(
    store_of: StoreOf, folders: dict[str, Path], name: str, settings: dict[str, Any], label: int
) -> None:
    limit = 48 if name.startswith("bert") else 120
    found = reranker(folders[name], **settings).rerank(QUERIES, RANKINGS, store_of(PASSAGES), Meter())
    texts = {passage.id: passage_text(passage) for passage in PASSAGES}
    for query, before, after in zip(QUERIES, RANKINGS, found, strict=True):
        expected = {
            each: directly(folders[name], query.question, texts[each], truncation="only_second", max_length=limit)[label].item()
            for each in ids(before)
        }
        assert after.turn_id == query.turn_id
        assert scores(after) == pytest.approx(expected, abs=1e-5)
        assert ids(after) == sorted(expected, key=lambda each: expected[each], reverse=True) != ids(before)
        assert is_canonical(after)


def test_log_softmax_over_two_labels(store_of: StoreOf, folders: dict[str, Path]) -> None:
    settings = {"label": "relevant", "activation": "log-softmax"}
    (found, _) = reranker(folders["bert-2"], **settings).rerank(QUERIES, RANKINGS, store_of(PASSAGES), Meter())
    expected = {
        passage.id: directly(folders["bert-2"], QUERIES[0].question, passage_text(passage), truncation="only_second", max_length=48)
        .log_softmax(-1)[1]
        .item()
        for passage in PASSAGES
    }
    assert scores(found) == pytest.approx(expected, abs=1e-5)


def test_batches_do_not_show(store_of: StoreOf, folders: dict[str, Path]) -> None:
    store = store_of(PASSAGES)
    together = reranker(folders["bert-1"]).rerank(QUERIES, RANKINGS, store, Meter())
    for batch_tokens in (1, 100):
        split = reranker(folders["bert-1"], batch_tokens=batch_tokens)
        apart = [split.rerank([query], [ranking], store, Meter())[0] for query, ranking in zip(QUERIES, RANKINGS, strict=True)]
        for one, other in zip(together, apart, strict=True):
            assert ids(one) == ids(other)
            assert scores(one) == pytest.approx(scores(other), abs=1e-5)


def test_passages_below_the_depth_keep_their_order(store_of: StoreOf, folders: dict[str, Path]) -> None:
    store = store_of(PASSAGES)
    (whole, _), (found, other) = (reranker(folders["bert-1"], depth=depth).rerank(QUERIES, RANKINGS, store, Meter()) for depth in (100, 10))
    best = ids(RANKINGS[0])[:10]
    assert ids(found)[:10] == [each for each in ids(whole) if each in best]
    assert ids(found)[10:] == ids(RANKINGS[0])[10:]
    lowest = min(scores(found)[each] for each in best)
    assert [score for _, score in found.passages[10:12]] == pytest.approx([lowest - 1, lowest - 2])
    assert sorted(ids(other)) == sorted(ids(RANKINGS[1]))
    assert is_canonical(found)


def test_copies_tie_and_stand_by_id_descending(store_of: StoreOf, folders: dict[str, Path]) -> None:
    copies = [Passage(f"copy {n}", SENTENCES[0]) for n in (2, 0, 1)]
    store = store_of([*copies, *PASSAGES])
    ranking = canonical("1_1", [(passage.id, float(n)) for n, passage in enumerate([copies[0], *PASSAGES, copies[1], copies[2]])])
    (found,) = reranker(folders["bert-1"]).rerank(QUERIES[:1], [ranking], store, Meter())
    assert [each for each in ids(found) if each.startswith("copy")] == ["copy 2", "copy 1", "copy 0"]


def test_what_is_read(store_of: StoreOf, folders: dict[str, Path]) -> None:
    store, folder = store_of(PASSAGES[:3]), folders["roberta-1"]
    ranking = canonical("1_2", [(passage.id, 1.0) for passage in PASSAGES[:3]])
    (query,) = reranker(folder, reads="query").rerank(QUERIES[1:], [ranking], store, Meter())
    (prefixed,) = reranker(folder, query_prefix="query: ", passage_prefix="document: ").rerank(QUERIES[1:], [ranking], store, Meter())
    for passage in PASSAGES[:3]:
        text = passage_text(passage)
        assert scores(query)[passage.id] == pytest.approx(directly(folder, QUERIES[1].text, text)[0].item(), abs=1e-5)
        expected = directly(folder, "query: and the boat", f"document: {text}")[0].item()
        assert scores(prefixed)[passage.id] == pytest.approx(expected, abs=1e-5)


def test_control_tokens_in_a_text_stay_letters(store_of: StoreOf, folders: dict[str, Path]) -> None:
    spelled = Passage("p", "the [SEP] boat")
    (found,) = reranker(folders["bert-1"]).rerank(QUERIES[:1], [Ranking("1_1", (("p", 1.0),))], store_of([spelled]), Meter())
    assert found.passages[0][1] == pytest.approx(directly(folders["bert-1"], QUERIES[0].question, "the [ SEP] boat")[0].item(), abs=1e-5)


def test_only_the_passage_is_cut(store_of: StoreOf, folders: dict[str, Path]) -> None:
    store = store_of(PASSAGES)
    long = Query.of("1_7", " ".join(WORDS[:30]))
    (found,) = reranker(folders["bert-1"]).rerank([long], RANKINGS[1:], store, Meter())
    texts = {passage.id: passage_text(passage) for passage in PASSAGES}
    expected = {
        each: directly(folders["bert-1"], long.text, texts[each], truncation="only_second", max_length=48)[0].item() for each in ids(found)
    }
    assert scores(found) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(
        UsageError, match=r"^turn 1_8: the question leaves 0 of 48 tokens for a passage, expected 8 or more: raise max_tokens"
    ):
        reranker(folders["bert-1"]).rerank([Query.of("1_8", " ".join(WORDS * 4))], RANKINGS[1:], store, Meter())
    with pytest.raises(UsageError, match=r"^turn 1_1: the question leaves \d of 16 tokens for a passage"):
        reranker(folders["roberta-1"], max_tokens=16).rerank(QUERIES[:1], RANKINGS[:1], store, Meter())


def test_rankings_without_passages(store_of: StoreOf, folders: dict[str, Path]) -> None:
    empty, store = Ranking("1_1", ()), store_of(PASSAGES)
    found = reranker(folders["bert-1"]).rerank(QUERIES, [empty, RANKINGS[1]], store, Meter())
    assert found[0] == empty
    assert found[1] == reranker(folders["bert-1"]).rerank(QUERIES[1:], RANKINGS[1:], store, Meter())[0]
    assert reranker(folders["bert-1"]).rerank([], [], store, Meter()) == []


def test_what_the_meter_says(store_of: StoreOf, folders: dict[str, Path]) -> None:
    meter, found = Meter(), reranker(folders["bert-1"], batch_tokens=48)
    found.open(meter)
    assert list(meter.take()["models"].values()) == [found._pairs.model.num_parameters()]
    with meter.phase("rerank", turns=2):
        found.rerank(QUERIES, RANKINGS, store_of(PASSAGES), meter)
    counts = meter.take()["phases"]["rerank"]
    assert counts["forward_passes"] > 10
    assert counts["tokens_in"] > 33 * 8


class TestChecks:
    def test_it_says_all_that_counts(self, folders: dict[str, Path]) -> None:
        plain = reranker(folders["roberta-3"], label="yes")
        plain.check()
        assert plain.describe() == reranker(folders["roberta-3"], label=2).describe()
        changes = (
            {"label": "no"},
            {"depth": 7},
            {"activation": "log-softmax"},
            {"reads": "query"},
            {"max_tokens": 60},
            {"query_prefix": "q"},
        )
        for change in changes:
            assert reranker(folders["roberta-3"], **{"label": "yes", **change}).describe() != plain.describe()
        assert isinstance(open_reranker(RerankConfig(model="m"), offline=True), Reranker)

    def test_labels(self, folders: dict[str, Path]) -> None:
        with pytest.raises(UsageError, match=r"bert-2@\w+: it has several labels \(0: irrelevant, 1: relevant\); say in 'label' which one"):
            reranker(folders["bert-2"]).check()
        with pytest.raises(UsageError, match=r"no single label 'good'; its labels are 0: irrelevant, 1: relevant; give a name or a number"):
            reranker(folders["bert-2"], label="good").check()
        with pytest.raises(UsageError, match=r"activation log-softmax needs two labels or more, it has one; set activation: none"):
            reranker(folders["bert-1"], activation="log-softmax").check()

    def test_a_number_is_what_rerankers_give(self, tmp_path: Path, store_of: StoreOf) -> None:
        folder = make_classifier(tmp_path / "regression", "bert", ("LABEL_0",), problem_type="regression")
        assert len(reranker(folder).rerank(QUERIES[:1], RANKINGS[:1], store_of(PASSAGES), Meter())[0].passages) == 24

    def test_no_classifier(self, tmp_path: Path) -> None:
        with pytest.raises(ResourceError, match=r"config\.json names BertModel, expected one that ends with ForSequenceClassification"):
            reranker(make_encoder(tmp_path / "body", "bert")).check()

    def test_a_head_that_is_missing(self, tmp_path: Path) -> None:
        folder = make_classifier(tmp_path / "headless", "bert", ("relevance",))
        change_tensors(folder / "model.safetensors", without="classifier")
        with pytest.raises(ResourceError, match=r"the files lack tensors of BertForSequenceClassification"):
            reranker(folder).open(Meter())

    def test_scores_that_are_not_finite(self, tmp_path: Path, store_of: StoreOf) -> None:
        import torch

        folder = make_classifier(tmp_path / "nan", "bert", ("relevance",))
        change_tensors(folder / "model.safetensors", **{"classifier.bias": torch.tensor([torch.nan])})
        with pytest.raises(UsageError, match=r"^turn 1_1: passage 'p 0': the reranker's score is not finite; check the checkpoint"):
            reranker(folder).rerank(QUERIES, RANKINGS, store_of(PASSAGES), Meter())

    def test_another_config(self, tmp_path: Path) -> None:
        folder = make_classifier(tmp_path / "named", "bert", ("a", "b"))
        change_json(folder / "config.json", id2label={"0": "same", "1": "same"})
        with pytest.raises(UsageError, match=r"no single label 'same'"):
            reranker(folder, label="same").check()

    @pytest.mark.parametrize("change", [{"depth": 0}, {"activation": "sigmoid"}, {"profile": "bge"}, {"max_tokens": 3}])
    def test_settings_that_make_no_sense(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match=next(iter(change))):
            RerankConfig(model="m", **change)


def test_decoders_that_classify(tmp_path: Path, store_of: StoreOf) -> None:
    """A small Llama, whose tokenizer opens either text, read at its last token."""
    import torch
    from backends.checkpoints import make_config, make_tokenizer
    from tokenizers import processors
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(5)
    folder = tmp_path / "rankllama"
    tokenizer = make_tokenizer("llama")
    opening = [("<s>", tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=opening
    )
    tokenizer.pad_token = "<unk>"
    tokenizer.save_pretrained(folder)
    model = AutoModelForSequenceClassification.from_config(make_config("llama", num_labels=1, pad_token_id=0)).eval()
    model.save_pretrained(folder)
    found = reranker(folder, query_prefix="query: ", passage_prefix="document: ")
    found.check()
    (ranking,) = found.rerank(QUERIES[:1], RANKINGS[:1], store_of(PASSAGES), Meter())
    bare = make_tokenizer("llama")
    for passage in PASSAGES:
        texts = ("query: who built the bridge", f"document: {passage_text(passage)}")
        given = [each for text in texts for each in [1, *bare(text, add_special_tokens=False)["input_ids"]]]
        with torch.no_grad():
            expected = model(input_ids=torch.tensor([given])).logits[0, 0].item()
        np.testing.assert_allclose(scores(ranking)[passage.id], expected, atol=1e-5)
