"""The protocol of generators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from convbench.meter import Meter
from convbench.types import Passage, Response
from convbench.views.session import Utterance


@dataclass(frozen=True, slots=True)
class GenerationInput:
    """What a generator sees of one turn.

    Attributes:
        turn_id: The turn.
        question: The question, rewritten where there is a rewriter.
        passages: The passages, best first.
        asked: The question as the user put it.
        earlier: The earlier utterances that the history view shows, oldest first.
    """

    turn_id: str
    question: str
    passages: tuple[Passage, ...]
    asked: str = ""
    earlier: tuple[Utterance, ...] = ()


@runtime_checkable
class Generator(Protocol):
    """Writes responses.

    Attributes:
        batch_size: Turns responded to together.
    """

    batch_size: int

    def describe(self) -> dict[str, Any]:
        """Everything that changes a response."""

    def check(self) -> None:
        """Makes sure, before any work and without loading anything large, that it can be used."""

    def open(self, meter: Meter) -> None:
        """Loads models; their sizes go to the meter."""

    def generate(self, inputs: Sequence[GenerationInput], meter: Meter) -> list[Response]:
        """One response an input, in order."""
