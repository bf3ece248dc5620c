"""The protocol of language models: messages in, texts out, wherever the model is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from convbench.meter import Meter


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked to write.

    Attributes:
        key: Names the request: the turn's id, and what is asked of it. Sampling hangs on it, and not on what else is in the batch.
        messages: (role, text) in order; roles are ``system``, ``user`` and ``assistant``.
        samples: How many texts are wanted.
    """

    key: str
    messages: tuple[tuple[str, str], ...]
    samples: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    """What a model wrote.

    Attributes:
        text: Without white space around it; empty where nothing came.
        finish_reason: ``stop``, ``length``, ``empty``, or what a server says (``content_filter`` ...).
        tokens_in: Tokens of the messages.
        tokens_out: Tokens that were written.
        log_probability: Sum of the logarithms of its tokens' probabilities; None where the model does not say.
        failure: Why there is no text for this request, where others may pass (too long, filtered).
    """

    text: str
    finish_reason: str = "stop"
    tokens_in: int = 0
    tokens_out: int = 0
    log_probability: float | None = None
    failure: str | None = None


@runtime_checkable
class LanguageModel(Protocol):
    """Writes texts."""

    def describe(self) -> dict[str, Any]:
        """Everything that changes a text."""

    def check(self) -> None:
        """Makes sure, before any work and without loading or asking anything, that it can be used.

        Raises:
            ResourceError: The checkpoint cannot be had, or the package or key for a server is missing.
        """

    def load(self, meter: Meter) -> None:
        """Loads what there is to load; the sizes of models go to the meter."""

    def write(self, requests: Sequence[Request], meter: Meter) -> list[tuple[Text, ...]]:
        """Answers requests.

        Args:
            requests: What is asked.
            meter: Where tokens, forward passes, requests and cost are counted.

        Returns:
            For each request, in order, as many texts as it wants; the first of several is not special, but each request's texts are the
            same whatever else is in ``requests``.

        Raises:
            ResourceError: The server cannot be reached or refuses everything; what was answered is kept.
        """
