"""The first sentence of the best passage: what a responder is worth that does not even read the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from convbench.config import Config
from convbench.generation.base import GenerationInput
from convbench.generation.sentences import split_sentences
from convbench.meter import Meter
from convbench.types import Response

VERSION = 1


class FirstSentenceConfig(Config):
    """``type: first-sentence``; there is nothing to set.

    Attributes:
        passages: It reads one passage.
    """

    type: Literal["first-sentence"]
    passages: ClassVar[int] = 1


class FirstSentenceGenerator:
    """Copies one sentence a turn. A topic's passage often opens with what is asked for, and longer responses have to beat that."""

    batch_size = 4096

    def describe(self) -> dict[str, Any]:
        """There is nothing to set."""
        return {"type": "first-sentence", "version": VERSION}

    def check(self) -> None:
        """Nothing can be missing."""

    def open(self, meter: Meter) -> None:
        """Nothing to load."""

    def generate(self, inputs: Sequence[GenerationInput], meter: Meter) -> list[Response]:
        """One response an input; without a passage, or with an empty one, it abstains."""
        return [_respond(item) for item in inputs]


def _respond(item: GenerationInput) -> Response:
    best = item.passages[:1]
    evidence = tuple(passage.id for passage in best)
    sentences = [sentence for passage in best for sentence in split_sentences(passage.text)]
    if not sentences:
        return Response(item.turn_id, "", finish_reason="no evidence", evidence=evidence, abstained=True)
    return Response(item.turn_id, sentences[0], evidence=evidence)
