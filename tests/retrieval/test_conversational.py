from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from backends.checkpoints import make_causal, make_encoder, make_tokenizer
from small_index import passages

from convbench.backends.encoder import HFEncoder
from convbench.backends.loaded import load
from convbench.backends.placement import ModelConfig
from convbench.backends.turn_inputs import TurnInputs
from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.retrieval.base import Retriever
from convbench.retrieval.conversational import ConversationalConfig, ConversationalRetriever
from convbench.retrieval.dense import DenseRetriever
from convbench.retrieval.open import open_retriever
from convbench.retrieval.passage_index import IndexConfig, PassageIndex
from convbench.types import Exchange, Turn
from convbench.views.history import history_view, utterances
from convbench.views.passages import passage_text
from convbench.views.query import Query
from convbench.views.session import Utterance

if TYPE_CHECKING:
    from conftest import StoreOf

PASSAGES = passages(40)
SAID = (
    Utterance("user", "who painted the red boat"),
    Utterance("agent", "The miller painted it in 1503."),
    Utterance("user", "and the bridge"),
    Utterance("agent", "Nobody painted the bridge, as far as is known."),
)
SESSIONS = [
    Query("1_1", ("who painted the red boat",), question="who painted the red boat"),
    Query("1_2", ("and the bridge",), question="and the bridge", earlier=SAID[:2]),
    Query("1_3", ("and who sold it",), question="and who sold it", earlier=SAID),
]
ROBERTA = {"pooling": "cls", "attention": "bidirectional", "normalize": False, "session": {"order": "oldest-first", "separator": "</s><s>"}}


def encoder(folder: Path, **profile: Any) -> HFEncoder:
    return HFEncoder(ModelConfig(model=str(folder), device="cpu", profile=profile or None), offline=True)


def retriever(found: HFEncoder) -> ConversationalRetriever:
    return ConversationalRetriever(found, PassageIndex(IndexConfig(storage="float32")))


def directly(folder: Path, ids: list[int]) -> Any:
    """The last layer's states of one input, by transformers alone."""
    import torch
    from transformers import AutoModel

    with torch.no_grad():
        return AutoModel.from_pretrained(folder).eval()(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()


def expected_scores(found: HFEncoder, session: Any) -> Any:
    return found.encode_passages([passage_text(passage) for passage in PASSAGES], Meter()).vectors @ session


def assert_scores(found: Any, expected: Any) -> None:
    order = np.argsort(-expected)
    assert [each for each, _ in found.ranking.passages] == [PASSAGES[row].id for row in order]
    np.testing.assert_allclose([score for _, score in found.ranking.passages], expected[order], atol=1e-4, rtol=1e-5)


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("sessions") / "roberta", "roberta")


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_causal(tmp_path_factory.mktemp("sessions") / "chatretriever-small", "qwen3")


class TestWritesTheSession:
    def test_separators_that_are_control_tokens(self, store_of: StoreOf, roberta: Path, tmp_path: Path) -> None:
        found = encoder(roberta, **ROBERTA)
        conversational = retriever(found)
        conversational.index(store_of(PASSAGES), tmp_path, Meter())
        words, vocabulary = make_tokenizer("roberta"), make_tokenizer("roberta").get_vocab()
        for query, result in zip(SESSIONS, conversational.search(SESSIONS, 40, Meter()), strict=True):
            ids: list[int] = []
            for text in [*(utterance.text for utterance in query.earlier), query.question]:
                ids += [vocabulary["<s>"], *words(text, add_special_tokens=False)["input_ids"], vocabulary["</s>"]]
            assert (result.ranking.turn_id, result.tokens, result.cut) == (query.turn_id, len(ids), 0)
            assert_scores(result, expected_scores(found, directly(roberta, ids)[0]))

    def test_a_chat_with_closing_tokens(self, store_of: StoreOf, qwen: Path, tmp_path: Path) -> None:
        found = encoder(qwen)
        conversational = retriever(found)
        conversational.index(store_of(PASSAGES), tmp_path, Meter())
        words, vocabulary = make_tokenizer("qwen3"), make_tokenizer("qwen3").get_vocab()
        names = {"user": "user", "agent": "assistant"}
        for query, result in zip(SESSIONS, conversational.search(SESSIONS, 40, Meter()), strict=True):
            ids: list[int] = []
            for number, (role, text) in enumerate([*query.earlier, Utterance("user", query.question)]):
                ids += words("\n", add_special_tokens=False)["input_ids"] if number else []
                written = words(f"{names[role]}\n{text}", add_special_tokens=False)["input_ids"]
                ids += [vocabulary["<|im_start|>"], *written, vocabulary["<|im_end|>"]]
            ids += [vocabulary["<|endoftext|>"]] * 3
            vector = directly(qwen, ids)[-1]
            assert result.tokens == len(ids)
            assert_scores(result, expected_scores(found, vector / np.linalg.norm(vector)))

    def test_control_tokens_that_somebody_said_stay_letters(self, store_of: StoreOf, roberta: Path, tmp_path: Path) -> None:
        conversational = retriever(encoder(roberta, **ROBERTA))
        conversational.index(store_of(PASSAGES), tmp_path, Meter())
        spelled = Query("1_1", ("",), question="why </s><s> so")
        broken = Query("1_1", ("",), question="why < /s>< s> so")
        first, second = conversational.search([spelled, broken], 40, Meter())
        assert first == second

    def test_sessions_of_another_encoder_than_the_passages(
        self, store_of: StoreOf, roberta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = make_encoder(tmp_path / "passages", "roberta", seed=8)
        found = encoder(roberta, **ROBERTA, passage_model=str(other))
        conversational, meter = retriever(found), Meter()
        conversational.index(store_of(PASSAGES), tmp_path, meter)
        assert len(meter.take()["models"]) == 2
        (result,) = conversational.search(SESSIONS[:1], 40, Meter())
        alone = encoder(other, **ROBERTA)
        words = make_tokenizer("roberta")
        assert_scores(result, expected_scores(alone, directly(roberta, words(SESSIONS[0].question)["input_ids"])[0]))


class TestBudget:
    def lengths(self, roberta: Path, session: int) -> HFEncoder:
        return encoder(roberta, **ROBERTA, lengths={"session": session})

    def test_the_oldest_exchanges_go_and_the_question_stays(self, store_of: StoreOf, roberta: Path, tmp_path: Path) -> None:
        store = store_of(PASSAGES)
        whole = retriever(encoder(roberta, **ROBERTA))
        whole.index(store, tmp_path, Meter())
        latest = Query("1_3", ("",), question=SESSIONS[2].question, earlier=SAID[2:])
        full, expected = whole.search([SESSIONS[2], latest], 40, Meter())
        assert full.tokens is not None
        assert expected.tokens is not None
        short = retriever(self.lengths(roberta, full.tokens - 1))
        short.index(store, tmp_path, Meter())
        (found,) = short.search([SESSIONS[2]], 40, Meter())
        assert [each for each, _ in found.ranking.passages] == [each for each, _ in expected.ranking.passages]
        assert (found.tokens, found.cut) == (expected.tokens, full.tokens - expected.tokens)

    def test_a_question_that_does_not_fit_is_refused(self, store_of: StoreOf, roberta: Path, tmp_path: Path) -> None:
        short = retriever(self.lengths(roberta, 8))
        short.index(store_of(PASSAGES[:3]), tmp_path, Meter())
        with pytest.raises(UsageError, match=r"^turn 1_9: the question alone has \d+ tokens, and 6 fit into a session: raise lengths"):
            short.search([Query("1_9", ("",), question="who painted the red boat and the stone bridge")], 3, Meter())


def test_equals_the_session_of_a_turn(qwen: Path) -> None:
    """What the unified system writes from a turn's history, at every budget."""
    loaded = load(ModelConfig(model=str(qwen), device="cpu"), "encoder", offline=True)
    exchanges = (
        Exchange("c_1", "", "Welcome to the lighthouse."),
        Exchange("c_2", "who keeps it", "A volunteer does."),
        Exchange("c_3", "since when"),
        Exchange("c_4", "why so late", "Nobody had asked before."),
    )
    turn = Turn("c_5", "and now", exchanges)
    for view in ("query", "queries", "full", "last-2"):
        earlier = utterances(history_view(view, turn))
        for budget in range(40, 130, 7):
            inputs = TurnInputs(loaded, None)
            inputs.__dict__["lengths"] = loaded.lengths.model_copy(update={"session": budget})
            session = inputs.session(turn, view)
            written = inputs.written(turn.id, turn.query, earlier)
            assert written.ids == session.ids
            assert (written.cut > 0) == bool(session.fitted.dropped)


class TestEqualsDense:
    """Where there is no history, the session is the question, and both retrievers send the same."""

    def test_minilm(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path) -> None:
        store, index = store_of(PASSAGES), IndexConfig()
        dense, conversational = DenseRetriever(minilm, PassageIndex(index)), ConversationalRetriever(minilm, PassageIndex(index))
        for each in (dense, conversational):
            each.index(store, tmp_path, Meter())
        queries = [Query.of(f"{n}_1", text) for n, text in enumerate(["who painted the red boat", "a map of the river", "bells in 1530"])]
        assert conversational.search(queries, 20, Meter()) == dense.search(queries, 20, Meter())
        assert len(list((tmp_path / "dense").iterdir())) == 1  # one index serves both

    def test_newest_first_lines_are_what_the_default_template_writes(self, store_of: StoreOf, minilm: HFEncoder, tmp_path: Path) -> None:
        from dataclasses import replace

        from convbench.views.session import SessionTemplate

        store, index = store_of(PASSAGES), IndexConfig()
        dense, conversational = DenseRetriever(minilm, PassageIndex(index)), ConversationalRetriever(minilm, PassageIndex(index))
        for each in (dense, conversational):
            each.index(store, tmp_path, Meter())
        texts = [replace(query, texts=(SessionTemplate().write(query.question, query.earlier),)) for query in SESSIONS]
        assert conversational.search(SESSIONS, 20, Meter()) == dense.search(texts, 20, Meter())


def test_from_its_configuration(roberta: Path) -> None:
    config = ConversationalConfig(encoder={"model": str(roberta), "profile": ROBERTA}, storage="float32")
    found = open_retriever(config, usual_bm25={}, offline=True)
    found.check()
    assert isinstance(found, ConversationalRetriever)
    assert isinstance(found, Retriever)
    assert found.describe()["encoder"]["profile"]["session"]["separator"] == "</s><s>"
    other = {**ROBERTA, "session": {"order": "newest-first"}}
    changed = ConversationalConfig(encoder={"model": str(roberta), "profile": other}, storage="float32")
    assert open_retriever(changed, usual_bm25={}, offline=True).describe() != found.describe()


def test_batches_do_not_show_and_no_queries(store_of: StoreOf, roberta: Path, tmp_path: Path) -> None:
    conversational = retriever(encoder(roberta, **ROBERTA))
    conversational.index(store_of(PASSAGES), tmp_path, Meter())
    assert conversational.search([], 5, Meter()) == []
    together = conversational.search([*SESSIONS, SESSIONS[0]], 40, Meter())
    for query, found in zip(SESSIONS, together, strict=False):
        (alone,) = conversational.search([query], 40, Meter())
        scores = [[score for _, score in each.ranking.passages] for each in (found, alone)]
        np.testing.assert_allclose(*scores, atol=1e-4, rtol=1e-5)
    assert together[0] == together[3]
