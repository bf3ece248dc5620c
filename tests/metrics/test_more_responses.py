"""BLEU, evidence, abstention, form, knowledge and HEQ beyond what the golden values hold, and all response metrics on odd texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sacrebleu
from golden import answered, by_turn, means
from hypothesis import given
from hypothesis import strategies as st

from convbench.errors import UsageError
from convbench.metrics.abstention import AbstentionMetric
from convbench.metrics.base import MISSING, Metric
from convbench.metrics.bleu import BleuMetric
from convbench.metrics.evidence import EvidenceMetric
from convbench.metrics.form import FormMetric
from convbench.metrics.heq import HeqMetric
from convbench.metrics.knowledge import KnowledgeMetric
from convbench.metrics.rouge import RougeMetric
from convbench.metrics.token_f1 import TokenF1Metric
from convbench.types import Exchange, Passage, Reference, Turn, TurnRecord

TEXTS = ["The keeper rowed to the rock.", "Nobody lives on the rock now, it is said.", "", "3.5 million", "東京の塔", "rock rock rock"]


def said(**responses: str | None) -> dict[str, TurnRecord]:
    return {id_: TurnRecord(id_, response=text) for id_, text in responses.items()}


def test_bleu_over_the_corpus_is_sacrebleus() -> None:
    turns = [answered(f"c_{n}", [text or "empty"]) for n, text in enumerate(TEXTS, 1)]
    records = {turn.id: TurnRecord(turn.id, response=text[::1] + " still") for turn, text in zip(turns, TEXTS, strict=True)}
    expected = sacrebleu.corpus_bleu([record.response for record in records.values()], [[turn.references[0].text for turn in turns]])
    assert 100 * means(BleuMetric(["BLEU"]), turns, records)["BLEU"] == pytest.approx(expected.score, abs=1e-9)


def test_turns_may_have_different_numbers_of_references_in_bleu() -> None:
    turns = [answered("c_1", ["the old rock by the sea"]), answered("c_2", ["a boat", "the red boat lay there", "one boat"])]
    records = said(c_1="the old rock by the sea", c_2="the red boat lay there")
    value = BleuMetric(["BLEU"]).corpus_values(turns, records)["BLEU"]
    assert value.value == pytest.approx(1.0)
    assert value.statistics is not None
    assert value.combine is not None
    assert value.combine(np.asarray(value.statistics).sum(axis=0)) == value.value


def test_a_missing_response_lowers_bleu_as_an_empty_one() -> None:
    turns = [answered("c_1", ["the old rock by the sea"]), answered("c_2", ["the red boat by the pier"])]
    both = means(BleuMetric(["BLEU"]), turns, said(c_1="the old rock by the sea", c_2="the red boat by the pier"))["BLEU"]
    one = means(BleuMetric(["BLEU"]), turns, said(c_1="the old rock by the sea"))["BLEU"]
    assert one == means(BleuMetric(["BLEU"]), turns, said(c_1="the old rock by the sea", c_2=""))["BLEU"]
    assert one < both == pytest.approx(1.0)


def test_evidence_is_compared_with_each_reference_apart() -> None:
    references = (Reference("a", evidence=("p1", "p2")), Reference("b", "additional", ("p3",)))
    turn = Turn("c_1", "?", references=references, gold={"p1": 1, "p2": 1, "p3": 1})
    metric = EvidenceMetric()

    def value(*evidence: str) -> Any:
        return metric.score([turn], {"c_1": TurnRecord("c_1", evidence=evidence)})[0].value

    assert (value("p3"), value("p1", "p2"), value("p1"), value("p1", "p2", "p3"), value()) == (1.0, 1.0, pytest.approx(2 / 3), 0.8, 0.0)
    plain = Turn("c_1", "?", references=(Reference("a"),), gold={"p1": 1})
    assert metric.score([plain], {"c_1": TurnRecord("c_1", evidence=("p1",))})[0].value == 1.0
    assert metric.score([plain], {})[0].reason == MISSING


def test_abstention_is_counted_apart() -> None:
    labels = ["no", "no", "no", "yes", "yes", None]
    turns = [Turn(f"c_{n}", "?", labels={"answerable": label} if label else {}) for n, label in enumerate(labels, 1)]
    records = said(c_1="UNANSWERABLE", c_2="It was 1887.", c_4="I don’t know.", c_5="It was 1887.", c_6="no answer")
    records["c_1"] = TurnRecord("c_1", response="UNANSWERABLE")
    found = by_turn(AbstentionMetric(), turns, records)
    assert list(found["abstention-recall"].values()) == [1.0, 0.0, 0.0, None, None, None]  # the third is missing
    assert list(found["abstention-precision"].values()) == [1.0, None, None, 0.0, None, None]
    flagged = {"c_4": TurnRecord("c_4", response="Nothing was found.", abstained=True)}
    assert by_turn(AbstentionMetric(), turns, flagged)["abstention-precision"]["c_4"] == 0.0


def test_form() -> None:
    turns = [answered("c_1", ["one two"]), answered("c_2", ["three four five six"])]
    found = means(FormMetric(), turns, said(c_1="one two three four", c_2="one two"))
    assert found == {"length-ratio": pytest.approx((4 / 2 + 2 / 4) / 2), "distinct-1": 4 / 6, "distinct-2": 3 / 4}
    assert not any(measure.ranks for measure in FormMetric().measures())


def test_knowledge_sources() -> None:
    history = (Exchange("c_1", "Who keeps the lamp?", "Anna Holm does."),)
    turn = Turn("c_2", "Since when?", history, (Reference("Since 1887"), Reference("Holm came in 1887.", "knowledge")))
    records = said(c_2="Anna Holm came in 1887")
    assert means(KnowledgeMetric(["K-precision(knowledge)"]), [turn], records) == {"K-precision(knowledge)": 4 / 5}
    assert means(KnowledgeMetric(["K-precision(history)"]), [turn], records) == {"K-precision(history)": 2 / 5}
    assert means(KnowledgeMetric(["K-precision++(knowledge)"]), [turn], records) == {"K-precision++(knowledge)": 1.0}


def test_a_response_that_was_given_nothing_scores_zero_and_says_so(store_of: Callable[..., Any]) -> None:
    metric = KnowledgeMetric(["K-precision(given)"])
    metric.open_passages(store_of([Passage("p1", "a text")]))
    turn = answered("c_1", ["a text"])
    (score,) = metric.score([turn], said(c_1="a text"))
    assert (score.value, score.reason) == (0.0, "the response was given no passages")
    (score,) = metric.score([turn], {"c_1": TurnRecord("c_1", response="text", evidence=("p1", "elsewhere"))})
    assert score.value == 1.0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TokenF1Metric(["F2"]), "no measure 'F2'"),
        (lambda: TokenF1Metric(["F1", "F1(knowledge)"]), "compare with different texts"),
        (lambda: TokenF1Metric(normaliser="squad", tokenizer="bytes"), "no tokens for the normaliser 'squad' on the tokenizer 'bytes'"),
        (lambda: RougeMetric(measures=["rouge3"]), "no measure 'rouge3'"),
        (lambda: BleuMetric(["bleu"]), "no measure 'bleu'"),
        (lambda: BleuMetric(normaliser="upper"), "no normaliser 'upper'"),
        (lambda: HeqMetric(["HEQ"]), "no measure 'HEQ'"),
        (lambda: KnowledgeMetric(["K-precision"]), "no measure 'K-precision'"),
        (lambda: KnowledgeMetric(["K-F1(given)", "K-F1(gold)"]), "several sources"),
    ],
)
def test_settings_that_mean_nothing_are_refused(build: Callable[[], Metric], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build()


texts = st.text(max_size=60) | st.sampled_from(
    [*TEXTS, "the", "a an the", "\u2028", "\x00", "🙂" * 9, " \t\n", "CANNOTANSWER", "don't \ud7ff"]
)
METRICS: list[Metric] = [
    RougeMetric(),
    TokenF1Metric(["F1-loo", "EM-loo", "F1-max", "EM-max", "recall-max", "precision-max"]),
    TokenF1Metric(tokenizer="spacy"),
    TokenF1Metric(["F1(knowledge)"], "content-words-of-lowered-reference", "spacy"),
    BleuMetric(),
    HeqMetric(),
    FormMetric(),
    AbstentionMetric(),
    KnowledgeMetric(["K-precision(history)", "K-F1++(history)"]),
]


@given(
    responses=st.lists(st.none() | texts, min_size=1, max_size=6),
    references=st.lists(texts, max_size=5),
    knowledge=texts,
    answerable=st.sampled_from(["yes", "no"]),
)
def test_any_text_gives_every_measure_a_value_on_its_scale_or_a_reason(
    responses: list[str | None], references: list[str], knowledge: str, answerable: str
) -> None:
    kinds = tuple(Reference(text, "additional" if n else "response") for n, text in enumerate(references))
    turns, history = [], ()
    for number, response in enumerate(responses, 1):
        turn = Turn(f"c_{number}", "what?", history, (*kinds, Reference(knowledge, "knowledge")), labels={"answerable": answerable})
        turns.append(turn)
        history = (*history, Exchange(turn.id, "what?", response))
    records = {turn.id: TurnRecord(turn.id, response=response) for turn, response in zip(turns, responses, strict=True)}
    for metric in METRICS:
        scales = {measure.name: measure.scale for measure in metric.measures()}
        scores = metric.score(turns, records)
        assert [(score.turn_id, score.measure) for score in scores] == [(turn.id, name) for turn in turns for name in scales]
        for score in scores:
            assert score.value is not None or score.reason
            assert score.value is None or scales[score.measure] == "any" or 0 <= score.value <= 1 + 1e-9


def test_a_response_equal_to_its_one_reference_is_perfect() -> None:
    turn = answered("c_1", ["The keeper rowed to the old rock."])
    records = said(c_1="The keeper rowed to the old rock.")
    for metric in (RougeMetric(), TokenF1Metric(), TokenF1Metric(tokenizer="spacy"), BleuMetric()):
        assert list(means(metric, [turn], records).values()) == [pytest.approx(1.0)] * len(metric.measures())


def test_a_thousand_turns_of_one_conversation() -> None:
    history: tuple[Exchange, ...] = ()
    turns = []
    for number in range(1, 1001):
        turns.append(Turn(f"c_{number}", f"what of {number}?", history, (Reference(f"number {number}"),), labels={"answerable": "yes"}))
        history = (*history, Exchange(f"c_{number}", f"what of {number}?", f"number {number}"))
    records = {turn.id: TurnRecord(turn.id, response=turn.references[0].text) for turn in turns}
    for metric in (TokenF1Metric(), HeqMetric(), AbstentionMetric(), FormMetric(), BleuMetric(["BLEU"])):
        assert len({score.turn_id for score in metric.score(turns, records)}) == 1000
    assert means(HeqMetric(), turns, records)["HEQ-D"] == 1.0
