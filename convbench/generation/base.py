"""The protocol of generators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from convbench.types import Passage, Response


@dataclass(frozen=True, slots=True)
class GenerationInput:
    """What a generator sees of one turn: the question (rewritten, where there is a rewriter) and the passages, best first."""

    turn_id: str
    question: str
    passages: tuple[Passage, ...]


@runtime_checkable
class Generator(Protocol):
    """Writes responses."""

    def describe(self) -> dict[str, Any]:
        """Everything that changes a response."""

    def generate(self, inputs: Sequence[GenerationInput]) -> list[Response]:
        """One response an input, in order."""
