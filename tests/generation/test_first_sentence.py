from __future__ import annotations

import pytest
from pydantic import ValidationError

from convbench.generation.base import GenerationInput, Generator
from convbench.generation.first_sentence import FirstSentenceConfig, FirstSentenceGenerator
from convbench.meter import Meter
from convbench.types import Passage, Response

HARBOUR = Passage("harbour", "Dr. Ames kept the harbour. It froze every winter.", "Harbour")
BRIDGE = Passage("bridge", "The bridge is made of stone. Masons built it.")


def answers(*inputs: GenerationInput) -> list[Response]:
    return FirstSentenceGenerator().generate(inputs, Meter())


def test_the_first_sentence_of_the_best_passage_whatever_is_asked() -> None:
    first, second = answers(
        GenerationInput("1_1", "who built the bridge", (HARBOUR, BRIDGE)), GenerationInput("1_2", "who built the bridge", (BRIDGE, HARBOUR))
    )
    assert first == Response("1_1", "Dr. Ames kept the harbour.", evidence=("harbour",))
    assert second == Response("1_2", "The bridge is made of stone.", evidence=("bridge",))


@pytest.mark.parametrize("passages", [(), (Passage("empty", " \n"), BRIDGE)])
def test_without_a_sentence_it_abstains(passages: tuple[Passage, ...]) -> None:
    (response,) = answers(GenerationInput("1_1", "why", passages))
    assert response == Response(
        "1_1", "", finish_reason="no evidence", evidence=tuple(passage.id for passage in passages[:1]), abstained=True
    )


def test_it_keeps_the_protocol_and_reads_one_passage() -> None:
    assert isinstance(FirstSentenceGenerator(), Generator)
    assert FirstSentenceConfig(type="first-sentence").passages == 1
    with pytest.raises(ValidationError, match="passages"):
        FirstSentenceConfig.model_validate({"type": "first-sentence", "passages": 3})
