"""A chat model behind an OpenAI-compatible server: several requests at once, and every answer is kept as it arrives."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from convbench.backends.chat_answers import AnswerFolder, no_completion, read_completion
from convbench.backends.chat_answers import ChatAnswer as ChatAnswer
from convbench.backends.chat_errors import failure_of, refuse_secrets
from convbench.backends.server import ServerAddress
from convbench.config import Config
from convbench.errors import ResourceError
from convbench.io.cache import cache_root
from convbench.io.deadline import Deadline
from convbench.io.digests import value_sha256

log = logging.getLogger(__name__)

INSTALL = "pip install 'convbench[judge]'"
OPENAI = "https://api.openai.com/v1"

_KEY_VERSION = 1
_NO_KEY = "no-key"  # the client insists on one; a server on this machine asks for none


class ChatConfig(Config):
    """A model, its server, and how it is sampled.

    Attributes:
        model: The model as the server calls it.
        base_url: Where ``/chat/completions`` is; None: ``$OPENAI_BASE_URL``, else OpenAI's.
        api_key_env: Name of the environment variable that holds the key; a server on this machine may do without. None: for OpenAI's own
            server ``OPENAI_API_KEY``; no other server gets a key that was not meant for it.
        temperature: Sampling temperature.
        max_tokens: Most tokens of an answer.
        limit_field: What the server calls ``max_tokens``.
        seed: Sample n is asked for with the seed ``seed + n``; None sends no seed.
        timeout: Seconds until the head of an answer must be whole, and as many from then on for the rest; what takes longer has failed.
        retries: How often a request that failed (429, 5xx, time-out, no connection) is sent again, each time after a longer pause.
        parallel: Most requests under way at once.
        log_probabilities: Whether the probabilities of an answer's tokens are asked for.
    """

    model: str = Field(min_length=1)
    base_url: str | None = None
    api_key_env: str | None = Field(default=None, min_length=1)
    temperature: float = Field(default=1.0, ge=0, le=2)
    max_tokens: int = Field(default=512, ge=1)
    limit_field: str = Field(default="max_tokens", pattern=r"^max_(completion_)?tokens$")
    seed: int | None = 0
    timeout: float = Field(default=60.0, gt=0)
    retries: int = Field(default=4, ge=0, le=20)
    parallel: int = Field(default=4, ge=1, le=64)
    log_probabilities: bool = False

    @model_validator(mode="before")
    @classmethod
    def _without_secrets(cls, values: Any) -> Any:
        refuse_secrets(values)
        return values


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked.

    Attributes:
        messages: (role, text) in order.
        sample: Number of the sample, from 0, of several for the same messages.
    """

    messages: tuple[tuple[str, str], ...]
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers, and which of them were paid for.

    Attributes:
        answers: In the order of the requests.
        cached: The answers to distinct requests that the cache held.
        asked: The answers to distinct requests that were sent.
    """

    answers: list[ChatAnswer]
    cached: tuple[ChatAnswer, ...]
    asked: tuple[ChatAnswer, ...]


class ChatClient:
    """Asks a server, never twice for the same thing: answers lie in the cache under a digest of all that was asked.

    Args:
        config: Model, server, sampling.
        offline: Refuse every server but those on this machine.
        cache: Folder of answers; None: ``chat`` in convbench's cache.
    """

    def __init__(self, config: ChatConfig, *, offline: bool = False, cache: Path | None = None) -> None:
        self.config = config
        self._offline = offline
        self._kept = AnswerFolder(cache or cache_root() / "chat")

    def check(self) -> None:
        """Makes sure, without a request, that one could be sent.

        Raises:
            ResourceError: The package or the key is missing, or the server is elsewhere and ``offline`` forbids it.
            UsageError: ``base_url`` is no address of a server.
        """
        if self._offline and not self.server.is_local:
            raise ResourceError(f"{self.server.host} is not on this machine and --offline forbids asking it; give a base_url on localhost")
        _ = self._client

    @cached_property
    def server(self) -> ServerAddress:
        """Where ``/chat/completions`` is."""
        return ServerAddress.parse(self.config.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI)

    def answers(self, requests: Sequence[ChatRequest]) -> list[ChatAnswer]:
        """The answers, in the order of ``requests``; equal requests are sent once.

        Raises:
            ResourceError: The server cannot be reached, refuses the key or the settings, or fails again and again.
            StorageError: Answers cannot be kept.
        """
        return self.answered(requests).answers

    def answered(self, requests: Sequence[ChatRequest]) -> Answered:
        """``answers``, with what was paid for told apart from what the cache held."""
        keys = [self._key(request) for request in requests]
        wanted = dict(zip(keys, requests, strict=True))
        found = {key: kept for key in wanted if (kept := self._kept.kept(key)) is not None}
        asked = self._ask_all({key: request for key, request in wanted.items() if key not in found})
        spent = [sum(getattr(answer, side) for answer in asked.values()) for side in ("tokens_in", "tokens_out")]
        log.info("%s: %d answers from the cache, %d asked for: %d tokens in, %d out", self.server.host, len(found), len(asked), *spent)
        return Answered([(found | asked)[key] for key in keys], tuple(found.values()), tuple(asked.values()))

    def _ask_all(self, requests: Mapping[str, ChatRequest]) -> dict[str, ChatAnswer]:
        if not requests:
            return {}
        self.check()
        stop = threading.Event()

        def ask(key: str, request: ChatRequest) -> ChatAnswer | None:
            if stop.is_set():
                return None
            try:
                return self._ask(key, request)
            except BaseException:
                stop.set()  # at once: the next request would wait for the same server
                raise

        with ThreadPoolExecutor(self.config.parallel) as pool:
            asked = {pool.submit(ask, key, request): key for key, request in requests.items()}
            try:
                answers = {asked[done]: done.result() for done in as_completed(asked)}
            except BaseException:
                stop.set()  # those under way are paid for, and kept as they end
                raise
        return {key: answer for key, answer in answers.items() if answer is not None}

    def _ask(self, key: str, request: ChatRequest) -> ChatAnswer:
        import openai

        config = self.config
        settings: dict[str, Any] = {"temperature": config.temperature, config.limit_field: config.max_tokens}
        if config.seed is not None:
            settings["seed"] = config.seed + request.sample
        if config.log_probabilities:
            settings["logprobs"] = True
        messages: Any = [{"role": role, "content": text} for role, text in request.messages]
        try:
            completion = self._client.chat.completions.create(model=config.model, messages=messages, **settings)
        except openai.OpenAIError as error:
            return ChatAnswer(failure=failure_of(error, config, self.server.host, self._api_key, self._variable))
        except (ValueError, RecursionError):
            raise no_completion(self.server.host) from None
        answer = read_completion(completion, self.server.host)
        self._kept.keep(key, answer)
        return answer

    @property
    def _variable(self) -> str:
        """Where the key is; a server that a system from elsewhere names gets none by default."""
        own = self.config.base_url is None or self.server.is_local or self.server.url == OPENAI
        variable = self.config.api_key_env or ("OPENAI_API_KEY" if own else None)
        if variable is None:
            raise ResourceError(f"{self.server.host}: no key: name the environment variable that holds its key as api_key_env")
        return variable

    @property
    def _api_key(self) -> str:
        variable = self._variable
        key = os.environ.get(variable, "").strip()
        if not key and not self.server.is_local:
            raise ResourceError(f"{self.server.host}: no key: put it into the environment variable {variable}")
        if not (key.isascii() and key.isprintable()):
            raise ResourceError(f"{self.server.host}: the key in the environment variable {variable} has characters that no key has")
        return key or _NO_KEY

    @cached_property
    def _client(self) -> Any:
        try:
            import openai
        except ImportError:
            raise ResourceError(f"asking a chat model needs the package openai: {INSTALL}") from None
        # A redirect could lead off this machine, and a proxy too.
        hooks = {"request": [Deadline(self.config.timeout).heed]}
        transport = openai.DefaultHttpxClient(follow_redirects=False, trust_env=not self.server.is_local, event_hooks=hooks)
        return openai.OpenAI(
            api_key=self._api_key,
            base_url=self.server.url,
            timeout=self.config.timeout,
            max_retries=self.config.retries,
            http_client=transport,
        )

    def _key(self, request: ChatRequest) -> str:
        config = self.config
        sampling: dict[str, Any] = {
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
            "seed": config.seed,
            "sample": request.sample,
        }
        if config.log_probabilities:  # not named otherwise, so that answers from before are found
            sampling["log_probabilities"] = True
        if config.limit_field != "max_tokens":
            sampling["limit_field"] = config.limit_field
        messages = [list(message) for message in request.messages]
        return value_sha256({"version": _KEY_VERSION, "at": self.server.url, "model": config.model, "messages": messages, **sampling})
