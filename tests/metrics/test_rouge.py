from __future__ import annotations

import random
from importlib import metadata

import nltk
import pytest
from rouge_score import tokenize
from rouge_score.rouge_scorer import RougeScorer

from convbench.generation.sentences import split_sentences
from convbench.metrics import METRICS, rouge
from convbench.metrics.base import MISSING, Metric
from convbench.metrics.responses import NO_REFERENCE
from convbench.metrics.rouge import RougeMetric
from convbench.types import Reference, Score, Turn, TurnRecord

TEXT = "The keeper's lamps, burning brightly! 1887 3.5 re-lit naïve 東京 Straße İzmir running runs ran U.S. … 🙂 \n\t — generously"
WORDS = TEXT.split(" ")

PLAIN = ("rouge1", "rouge2", "rougeL")
"""What rouge_score computes on texts as they are; rougeLsum takes their sentences."""


def turn(number: int, *references: str) -> Turn:
    return Turn(f"c_{number}", "what?", references=tuple(map(Reference, references)))


def fuzzed(seed: int, count: int) -> tuple[list[Turn], dict[str, TurnRecord]]:
    choose = random.Random(seed)

    def text() -> str:
        return " ".join(choose.choices(WORDS, k=choose.choice([0, 1, 2, 8, 25])))

    turns = [turn(number, *(text() for _ in range(choose.choice([1, 1, 2, 4])))) for number in range(1, count + 1)]
    return turns, {turn.id: TurnRecord(turn.id, response=text()) for turn in turns}


@pytest.mark.parametrize("engine", ["python", "rust"])
@pytest.mark.parametrize("measures", [PLAIN, (*PLAIN, "rougeLsum")])
@pytest.mark.parametrize("stemmer", [True, False])
def test_fuzzed_texts_score_as_in_plain_rouge_score(stemmer: bool, measures: tuple[str, ...], engine: str) -> None:
    turns, records = fuzzed(7, 300)
    plain = RougeScorer(list(PLAIN), use_stemmer=stemmer)
    metric = RougeMetric(stemmer, measures, engine=engine)
    scores = iter([score for score in metric.score(turns, records) if score.measure in PLAIN])
    for one in turns:
        per_reference = [plain.score(reference.text, records[one.id].response) for reference in one.references]
        for name in PLAIN:
            score = next(scores)
            assert (score.turn_id, score.measure) == (one.id, name)
            assert score.value == max(result[name].fmeasure for result in per_reference)


def test_each_measure_takes_its_own_best_reference() -> None:
    one = turn(1, "lamp keeper", "keeper of old red boats")
    values = {s.measure: s.value for s in RougeMetric().score([one], {"c_1": TurnRecord("c_1", response="keeper lamp of old red")})}
    plain = RougeScorer(list(PLAIN), use_stemmer=True)
    first, second = (plain.score(reference.text, "keeper lamp of old red") for reference in one.references)
    assert first["rouge2"].fmeasure < second["rouge2"].fmeasure == values["rouge2"]


def test_text_without_ascii_letters_or_digits_scores_zero_and_says_why() -> None:
    turns = [turn(1, "東京"), turn(2, "Tokyo", "東京"), turn(3, "東京", "—"), turn(4, "Tokyo"), turn(5, "東京", "Tokyo tower")]
    responses = ["東京", "東京", "Tokyo", "", "Tokyo"]
    records = {one.id: TurnRecord(one.id, response=text) for one, text in zip(turns, responses, strict=True)}
    found = {score.turn_id: (score.value, score.reason) for score in RougeMetric().score(turns, records) if score.measure == "rouge1"}
    assert found == {
        "c_1": (0.0, "no ASCII letters or digits are left in the response"),
        "c_2": (0.0, "no ASCII letters or digits are left in the response"),
        "c_3": (0.0, "no ASCII letters or digits are left in the references"),
        "c_4": (0.0, "no ASCII letters or digits are left in the response"),
        "c_5": (pytest.approx(2 / 3), None),
    }


def test_missing_responses_and_references() -> None:
    scores = RougeMetric().score([turn(1, "yes"), turn(2)], {"c_2": TurnRecord("c_2", response="yes")})
    assert scores[0] == Score("c_1", "rouge1", 0.0, MISSING)
    assert scores[-1] == Score("c_2", "rougeLsum", None, NO_REFERENCE)


def test_each_distinct_text_is_tokenised_once_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = tokenize.tokenize
    monkeypatch.setattr(tokenize, "tokenize", lambda text, stemmer: seen.append(text) or real(text, stemmer))
    turns = [turn(1, "an old lamp", "a lamp"), turn(2, "an old lamp")]
    metric = RougeMetric(measures=PLAIN, engine="python")
    for _ in range(2):
        metric.score(turns, {one.id: TurnRecord(one.id, response="a lamp") for one in turns})
    assert sorted(seen) == ["a lamp", "an old lamp"]


@pytest.mark.parametrize("engine", ["python", "rust"])
def test_nothing_is_downloaded_or_looked_up(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nltk data was asked for")

    monkeypatch.setattr(nltk, "download", refuse)
    monkeypatch.setattr(nltk.data, "find", refuse)
    assert RougeMetric(engine=engine).score([turn(1, "One.\nTwo.")], {"c_1": TurnRecord("c_1", response="One. Two.")})[0].value == 1.0


def test_names_and_signatures() -> None:
    assert isinstance(METRICS.get("rouge")(), Metric)
    version = metadata.version("rouge-score")
    assert [measure.signature for measure in RougeMetric().measures()] == [
        *(f"{name}|stem:yes|refs:max|against:response|rouge-score:{version}" for name in ("rouge1", "rouge2", "rougeL")),
        f"rougeLsum|stem:yes|refs:max|against:response|split:sentences|rouge-score:{version}",
    ]
    assert RougeMetric(stemmer=False).measures()[2].signature == f"rougeL|stem:no|refs:max|against:response|rouge-score:{version}"
    assert [measure.signature for measure in RougeMetric(engine="python").measures()] == [
        measure.signature for measure in RougeMetric(engine="rust").measures()
    ]


def test_a_metric_remembers_sentences_and_another_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[str] = []

    def noted(text: str) -> list[str]:
        cut.append(text)
        return split_sentences(text)

    monkeypatch.setattr(rouge, "split_sentences", noted)
    turns, records = [turn(1, "One boat. Two boats.")], {"c_1": TurnRecord("c_1", response="A boat. Boats.")}
    first, second = RougeMetric(), RougeMetric()
    assert first.score(turns, records) == first.score(turns, records)
    assert cut == ["A boat. Boats.", "One boat. Two boats."]
    second.score(turns, records)
    assert len(cut) == 4
