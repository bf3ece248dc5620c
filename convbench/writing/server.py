"""A language model behind an OpenAI-compatible server (vLLM, ``transformers serve``, llama.cpp, a paid one)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from convbench.backends.chat import Answered, ChatAnswer, ChatClient, ChatConfig, ChatRequest
from convbench.meter import Meter
from convbench.writing.base import Request, Text
from convbench.writing.samples import written_texts

VERSION = 1

_SEEDS_APART = 1000
"""Between the seeds of two runs, so that the samples of one are not those of the other."""


class ServerConfig(ChatConfig):
    """A model, its server, and what it costs; ``ChatConfig`` says the rest.

    Attributes:
        type: ``server``.
        temperature: Sampling temperature; 0 is greedy, and then several samples are one text, asked for once.
        price_in: Price of a million tokens of requests, in any currency.
        price_out: Price of a million tokens of answers.
    """

    type: Literal["server"] = "server"
    temperature: float = Field(default=0.0, ge=0, le=2)
    price_in: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    price_out: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class ServerModel:
    """Asks a server; every answer is in the cache before the next step, so that a killed run pays for none twice.

    Args:
        config: Model, server, sampling, prices.
        offline: Refuse every server but those on this machine.
        seed: Of the run; sample n is asked for with ``config.seed + 1000 * seed + n``.
        cache: Folder of answers; None: in convbench's cache.
    """

    def __init__(self, config: ServerConfig, *, offline: bool, seed: int, cache: Path | None = None) -> None:
        self._config = config
        shared = {name: getattr(config, name) for name in ChatConfig.model_fields}
        chosen = None if config.seed is None else config.seed + _SEEDS_APART * seed
        self._client = ChatClient(ChatConfig(**{**shared, "seed": chosen}), offline=offline, cache=cache)

    def describe(self) -> dict[str, Any]:
        """Model, server and sampling; no key, and nothing that changes no text. A model that is a folder goes by its last part.

        Raises:
            UsageError: ``base_url`` is no address of a server.
        """
        config = self._client.config
        model = Path(config.model).name if Path(config.model).is_absolute() else config.model
        sampling = config.model_dump(include={"temperature", "max_tokens", "seed", "log_probabilities"})
        sampling |= {} if config.limit_field == "max_tokens" else {"limit_field": config.limit_field}
        return {"type": "server", "model": model, "base_url": self._client.server.url, **sampling, "version": VERSION}

    def check(self) -> None:
        """Looks for the package, the key and the address; sends nothing.

        Raises:
            ResourceError: Package or key is missing, or the server is elsewhere and ``offline`` forbids it.
            UsageError: ``base_url`` is no address of a server.
        """
        self._client.check()

    def load(self, meter: Meter) -> None:
        """Nothing to load, and nobody says how large the model is."""

    def write(self, requests: Sequence[Request], meter: Meter) -> list[tuple[Text, ...]]:
        """Asks for the texts, several at once.

        Counted are ``requests`` (texts that were sent for), ``cached_requests``, tokens of both, and ``micro_cost``, the millionths of the
        prices' currency that were spent: what the cache held costs nothing.

        Raises:
            ResourceError: The server cannot be reached, refuses the key or the settings, or fails again and again.
            StorageError: Answers cannot be kept.
        """
        greedy = self._config.temperature == 0
        counts = [written_texts(request, greedy=greedy) for request in requests]
        chats = [ChatRequest(request.messages, n) for request, count in zip(requests, counts, strict=True) for n in range(count)]
        answered = self._client.answered(chats)
        self._count(answered, meter)
        answers = iter(answered.answers)
        texts = [tuple(_text(next(answers)) for _ in range(count)) for count in counts]
        return [found * request.samples if greedy else found for request, found in zip(requests, texts, strict=True)]

    def _count(self, answered: Answered, meter: Meter) -> None:
        paid_in, paid_out = (sum(getattr(answer, side) for answer in answered.asked) for side in ("tokens_in", "tokens_out"))
        meter.count(
            requests=len(answered.asked),
            cached_requests=len(answered.cached),
            tokens_in=paid_in + sum(answer.tokens_in for answer in answered.cached),
            tokens_out=paid_out + sum(answer.tokens_out for answer in answered.cached),
            micro_cost=round(self._config.price_in * paid_in + self._config.price_out * paid_out),
        )


def _text(answer: ChatAnswer) -> Text:
    said = answer.text.strip()
    reason = answer.finish_reason or "stop"
    return Text(
        said,
        finish_reason=reason if said or reason != "stop" else "empty",
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        log_probability=answer.log_probability,
        failure=answer.failure,
    )
