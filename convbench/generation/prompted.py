"""Responses of a language model that is shown the question, the conversation and the passages in a prompt."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from pydantic import Field, field_validator

from convbench.config import Config
from convbench.errors import ConvbenchError
from convbench.generation.base import GenerationInput
from convbench.meter import Meter
from convbench.types import Passage, Response
from convbench.writing.base import LanguageModel, Request, Text
from convbench.writing.open import LanguageModelConfig
from convbench.writing.prompts import PromptConfig, abstains, check_prompt, extracted, messages, read_prompt

log = logging.getLogger(__name__)

VERSION = 1

_OWN = ("asked",)
_FILTERED = re.compile(r"filter|policy|policies|safety", re.IGNORECASE)
"""What a server says of a text that it refuses for what it holds; every other refusal of one text is for its length."""


class PromptedConfig(Config):
    """A language model and what it is asked.

    Prompts may hold ``{question}`` (rewritten, where there is a rewriter), ``{asked}`` (as the user put it), ``{history}`` (what the
    history view shows) and ``{passages}``.

    Attributes:
        model: The language model.
        prompt: Name of a prompt, or the prompt itself.
        closed_book_prompt: The prompt of turns without passages, where ``prompt`` shows passages; None: the model is not asked, and the
            response abstains.
        passages: How many passages it reads.
        passage_words: A longer passage is cut after so many words; None: none is.
        batch_size: Turns responded to together.
    """

    type: Literal["prompted"]
    model: LanguageModelConfig
    prompt: str | PromptConfig = "conversational-response"
    closed_book_prompt: str | PromptConfig | None = "direct"
    passages: int = Field(default=5, ge=1)
    passage_words: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=32, ge=1)

    @field_validator("prompt", "closed_book_prompt")
    @classmethod
    def _can_be_filled_in(cls, given: str | PromptConfig | None) -> str | PromptConfig | None:
        try:
            if given is not None:
                check_prompt(read_prompt(given), _OWN)
        except ConvbenchError as error:
            raise ValueError(str(error)) from None
        return given

    @field_validator("closed_book_prompt")
    @classmethod
    def _shows_no_passages(cls, given: str | PromptConfig | None) -> str | PromptConfig | None:
        if given is not None and shows_passages(read_prompt(given)):
            raise ValueError("must hold no {passages}: it is for turns that have none")
        return given


def shows_passages(prompt: PromptConfig) -> bool:
    """Whether a prompt shows passages."""
    return "passages" in prompt.placeholders


@dataclass(frozen=True, slots=True)
class _Asked:
    """A turn, the prompt that it gets, and the passages that are shown in it."""

    item: GenerationInput
    prompt: PromptConfig
    passages: tuple[Passage, ...]

    def request(self) -> Request:
        item = self.item
        said = messages(self.prompt, question=item.question, earlier=item.earlier, passages=self.passages, asked=item.asked)
        return Request(f"{item.turn_id} response", said)


class PromptedGenerator:
    """Asks a language model, once a turn.

    Where a prompt is too long for the model, it is asked again without the last passage, down to one: a model on this machine knows the
    length beforehand, a server says so when it is asked. ``Response.evidence`` names the passages that the model saw.

    Args:
        config: What is asked.
        model: The language model.
    """

    def __init__(self, config: PromptedConfig, model: LanguageModel) -> None:
        self.config, self.batch_size = config, config.batch_size
        self._model, self._prompt = model, read_prompt(config.prompt)
        self._closed_book = read_prompt(config.closed_book_prompt) if config.closed_book_prompt is not None else None

    def describe(self) -> dict[str, Any]:
        """The prompts word by word, and the model."""
        settings = self.config.model_dump(include={"type", "passages", "passage_words"})
        closed_book = self._closed_book.model_dump() if self._closed_book is not None else None
        prompts = {"prompt": self._prompt.model_dump(), "closed_book_prompt": closed_book}
        return {**settings, "version": VERSION, **prompts, "model": self._model.describe()}

    def check(self) -> None:
        """Passes the check on to the model."""
        self._model.check()

    def open(self, meter: Meter) -> None:
        """Loads the model."""
        self._model.load(meter)

    def generate(self, inputs: Sequence[GenerationInput], meter: Meter) -> list[Response]:
        """One response an input.

        A request that the model does not take gives an empty response, whose ``finish_reason`` is ``too long`` or ``content_filter``.
        Passages that had no room are counted as ``passages_dropped``.
        """
        asked = {index: found for index, item in enumerate(inputs) if (found := self._asked(item)) is not None}
        written: dict[int, Text] = {}
        waiting = list(asked)
        while waiting:
            texts = self._model.write([asked[index].request() for index in waiting], meter)
            written |= {index: text for index, (text,) in zip(waiting, texts, strict=True)}
            waiting = [index for index in waiting if _is_too_long(written[index]) and len(asked[index].passages) > 1]
            asked |= {index: replace(asked[index], passages=asked[index].passages[:-1]) for index in waiting}
            meter.count(passages_dropped=len(waiting))
        _report(list(asked.values()), [written[index] for index in asked])
        return [_response(asked[index], written[index]) if index in asked else _declined(item) for index, item in enumerate(inputs)]

    def _asked(self, item: GenerationInput) -> _Asked | None:
        """What is asked for a turn; None where nothing is."""
        if not shows_passages(self._prompt):
            return _Asked(item, self._prompt, ())
        if item.passages:
            return _Asked(item, self._prompt, tuple(self._cut(passage) for passage in item.passages))
        return _Asked(item, self._closed_book, ()) if self._closed_book is not None else None

    def _cut(self, passage: Passage) -> Passage:
        """The passage with the first words of its text."""
        if self.config.passage_words is None:
            return passage
        kept = list(islice(re.finditer(r"\S+", passage.text), self.config.passage_words))
        return replace(passage, text=passage.text[: kept[-1].end()] if kept else "")


def _is_too_long(text: Text) -> bool:
    return text.failure is not None and not _FILTERED.search(text.failure)


def _response(asked: _Asked, text: Text) -> Response:
    dropped = tuple(passage.id for passage in asked.item.passages[len(asked.passages) :]) if shows_passages(asked.prompt) else ()
    empty = Response(asked.item.turn_id, "", tokens_in=text.tokens_in, tokens_out=text.tokens_out, dropped=dropped)
    if text.failure is not None:
        reason = "too long" if _is_too_long(text) else "content_filter"
        return replace(empty, finish_reason=reason)
    used = extracted(asked.prompt, text.text)
    abstained = abstains(asked.prompt, used or text.text)
    if abstained and not used:  # the sentence stands alone, without the form that an answer would have
        used = text.text
    reason = "unusable" if text.text and not used else text.finish_reason
    evidence = tuple(passage.id for passage in asked.passages)
    return replace(empty, text=used, finish_reason=reason, evidence=evidence, abstained=abstained)


def _declined(item: GenerationInput) -> Response:
    return Response(item.turn_id, "", finish_reason="no evidence", abstained=True)


def _report(asked: Sequence[_Asked], texts: Sequence[Text]) -> None:
    """Says which prompts the model did not take whole, or not at all."""
    shorter = [each for each in asked if each.passages and len(each.passages) < len(each.item.passages)]
    if shorter:
        first = shorter[0]
        log.warning(
            *("%d of %d prompts were too long and lost passages (first: turn %s read %d of %d)", len(shorter), len(asked)),
            *(first.item.turn_id, len(first.passages), len(first.item.passages)),
        )
    failed = [(each.item.turn_id, text.failure) for each, text in zip(asked, texts, strict=True) if text.failure is not None]
    if failed:
        log.warning("%d of %d prompts got no response (first: turn %s: %s)", len(failed), len(asked), *failed[0])
