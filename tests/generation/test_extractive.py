from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import bm25s
import numpy as np
import pytest
from pydantic import ValidationError

import convbench.generation.extractive as extractive
from convbench.generation.base import GenerationInput, Generator
from convbench.generation.extractive import ExtractiveConfig, ExtractiveGenerator, sentence_scores
from convbench.meter import Meter
from convbench.types import Passage, Response

HARBOUR = Passage("harbour", "The harbour froze every winter. A keeper lit the lamp at dusk. Boats waited outside.")
BRIDGE = Passage("bridge", "The bridge is made of stone. Masons built it in nine years.")


def answer(question: str, *passages: Passage, **settings: Any) -> Response:
    (response,) = ExtractiveGenerator(ExtractiveConfig(**settings)).generate([GenerationInput("1_1", question, passages)], Meter())
    return response


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("who lights lamps at dusk", "A keeper lit the lamp at dusk."),
        ("does the harbour freeze in winters", "The harbour froze every winter."),
        ("how long did the masons build", "Masons built it in nine years."),
        ("what is the bridge made of", "The bridge is made of stone."),
    ],
)
def test_the_sentence_that_shares_words_with_the_question(question: str, expected: str) -> None:
    assert answer(question, HARBOUR, BRIDGE).text == expected


def test_it_copies_and_names_its_evidence() -> None:
    response = answer("what did the masons build", HARBOUR, BRIDGE)
    assert response == Response("1_1", "Masons built it in nine years.", evidence=("harbour", "bridge"))
    assert response.text in BRIDGE.text
    assert (response.finish_reason, response.abstained) == ("stop", False)


def test_a_rarer_word_outweighs_a_common_one() -> None:
    passage = Passage("p", "The boat was old. The boat was red. The boat was small. Ames rowed away.")
    assert answer("did Ames own a boat", passage).text == "Ames rowed away."


def test_a_lower_rank_counts_less() -> None:
    first, second = Passage("1", "The lamp is old."), Passage("2", "The lamp is new.")
    assert answer("the lamp", first, second).text == "The lamp is old."
    assert answer("the lamp", second, first).text == "The lamp is new."
    weak, strong = Passage("weak", "The lamp burned all of the night."), Passage("strong", "Oil feeds a lamp.")
    assert answer("oil lamp", weak, strong, rank_discount=0).text == "Oil feeds a lamp."
    assert answer("oil lamp", weak, strong, rank_discount=9).text == "The lamp burned all of the night."


def test_the_discount_follows_its_formula() -> None:
    """One matching sentence in each of two passages of equal score: the second wins only where its own score is more than 1 + d times."""
    weak, strong = Passage("weak", "A lamp burned."), Passage("strong", "A lamp of oil.")
    low, high = sentence_scores(["oil", "lamp"], [["lamp", "burn"], ["lamp", "oil"]], k1=0.9, b=0.4).tolist()
    tipping = high / low - 1
    assert tipping > 0
    assert answer("oil lamp", weak, strong, rank_discount=tipping * 0.99).text == "A lamp of oil."
    assert answer("oil lamp", weak, strong, rank_discount=tipping * 1.01).text == "A lamp burned."


def bm25s_scores(question: Sequence[str], sentences: Sequence[Sequence[str]], k1: float, b: float) -> list[float]:
    query = sorted(set(question) & {word for words in sentences for word in words})
    if not query:
        return [0.0] * len(sentences)
    index = bm25s.BM25(k1=k1, b=b, method="lucene", backend="numpy")
    index.index([list(words) for words in sentences], show_progress=False)
    return [float(score) for score in index.get_scores(query)]


@pytest.mark.parametrize("seed", range(100))
def test_scores_are_those_of_bm25s_bit_for_bit(seed: int) -> None:
    chance = random.Random(seed)
    vocabulary = ["lamp", "oil", "harbour", "winter", "é", "naïve", "氷", "boat", "stone", "ice"][: chance.randint(1, 10)]
    sentences = [chance.choices(vocabulary, k=chance.randint(0, 25)) for _ in range(chance.randint(1, 30))]
    sentences += [sentences[0]] * chance.randint(0, 2)
    question = chance.choices([*vocabulary, "absent"], k=chance.randint(0, 6))
    k1, b = chance.choice([(0.9, 0.4), (1.2, 0.75), (0.0, 0.4), (0.9, 0.0), (0.9, 1.0), (chance.random(), chance.random())])
    found = sentence_scores(question, sentences, k1, b)
    assert found.dtype == np.float32
    assert found.tolist() == bm25s_scores(question, sentences, k1, b)


@pytest.mark.parametrize("question", ["quantum zeppelins", "the of and", "", "?"])
def test_without_a_common_word_the_first_sentence(question: str) -> None:
    response = answer(question, HARBOUR, BRIDGE)
    assert response.text == "The harbour froze every winter."
    assert not response.abstained


@pytest.mark.parametrize("passages", [(), (Passage("empty", ""),), (Passage("empty", " \n", "A title"), Passage("too", ""))])
def test_without_sentences_it_abstains(passages: tuple[Passage, ...]) -> None:
    response = answer("who built the bridge", *passages)
    assert (response.text, response.abstained, response.finish_reason) == ("", True, "no evidence")
    assert response.evidence == tuple(passage.id for passage in passages)


def test_passages_of_stop_words_only() -> None:
    assert answer("the bridge", Passage("p", "It is. It was.")).text == "It is."


def test_each_input_is_answered_by_itself() -> None:
    generator = ExtractiveGenerator(ExtractiveConfig())
    inputs = [
        GenerationInput("1_1", "who lit the lamp", (HARBOUR,)),
        GenerationInput("1_2", "who built it", ()),
        GenerationInput("1_3", "who built the bridge", (BRIDGE, HARBOUR)),
    ]
    together = generator.generate(inputs, Meter())
    assert [response.turn_id for response in together] == ["1_1", "1_2", "1_3"]
    assert [response.abstained for response in together] == [False, True, False]
    assert [generator.generate([item], Meter())[0] for item in inputs] == together
    assert generator.generate([], Meter()) == []


def test_its_description_tells_settings_apart() -> None:
    default = ExtractiveGenerator(ExtractiveConfig())
    assert isinstance(default, Generator)
    for change in ({"passages": 5}, {"rank_discount": 0.5}, {"k1": 1.2}, {"b": 0.75}, {"analyzer": {"stemmer": "none"}}):
        assert ExtractiveGenerator(ExtractiveConfig.model_validate(change)).describe() != default.describe()


@pytest.mark.parametrize("change", [{"passages": 0}, {"passages": -1}, {"rank_discount": -0.1}, {"k1": -1}, {"b": 2}, {"rank": 1}])
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        ExtractiveConfig(**change)


def test_what_it_remembers_of_earlier_passages_changes_no_response(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(6)
    words = [f"word{n}" for n in range(40)]
    passages = [
        Passage(f"p{n}", " ".join(" ".join(chance.sample(words, 5)).capitalize() + "." for _ in range(chance.randrange(5))))
        for n in range(30)
    ]
    inputs = [GenerationInput(f"c_{n}", " ".join(chance.sample(words, 4)), tuple(chance.sample(passages, 3))) for n in range(120)]
    fresh = [ExtractiveGenerator(ExtractiveConfig()).generate([each], Meter())[0] for each in inputs]
    for kept in (1, 4, 512):
        monkeypatch.setattr(extractive, "_KEPT", kept)
        generator = ExtractiveGenerator(ExtractiveConfig())
        found = [response for start in range(0, 120, 7) for response in generator.generate(inputs[start : start + 7], Meter())]
        assert found == fresh
        assert len(generator._read) <= kept
