"""Prompts as data: what a language model is asked, written in YAML and filled in with a turn's texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from convbench.config import Config, build_config, load_config
from convbench.errors import UsageError
from convbench.registry import did_you_mean
from convbench.types import Passage
from convbench.views.passages import passage_title
from convbench.views.session import Order, SessionTemplate, Utterance
from convbench.writing.templates import filled, placeholders

Messages = tuple[tuple[str, str], ...]
"""(role, text) in order."""

_ALWAYS = ("question", "history", "passages", "abstain")
_TITLE = re.compile(r"\{title\}[\s:;.,|-]*")
_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…][\W_]*(?=\s|$)|\n")  # of a row of dots only the first is tried
_FOLDER = Path(__file__).parent / "prompts"


class HistoryTemplate(SessionTemplate):
    """How the earlier utterances are written; in a prompt they stand in the order in which they were said."""

    order: Order = "oldest-first"
    user: str = "User: {text}"
    agent: str = "System: {text}"


class Example(Config):
    """A question as it would be asked, and the answer that is wanted; both are sent as they stand.

    Attributes:
        user: What the model is asked.
        assistant: What it should answer.
    """

    user: str = Field(min_length=1)
    assistant: str = Field(min_length=1)


class PromptConfig(Config):
    """What a model is asked.

    ``system`` and ``user`` hold placeholders: ``{question}``, ``{history}``, ``{passages}``, ``{abstain}`` (the sentence below), and those
    of the component that asks. Other braces stand for themselves.

    Attributes:
        version: Of the wording; a changed wording gets another number.
        source: The paper whose procedure it follows.
        system: The system message; empty: none.
        user: The user's message.
        session: How the history is written.
        passage: Form of one passage: ``{rank}``, ``{title}``, ``{text}``; where a passage has no title, the punctuation after it goes too.
        examples: Sent before the user's message, as if they had been asked and answered.
        extract: A regular expression with the group ``text``: what of an answer is used. ``.`` matches line ends too.
        abstain: The sentence by which the model declines to answer.
    """

    version: int = Field(ge=1)
    source: str = Field(min_length=1)
    system: str = ""
    user: str = Field(min_length=1)
    session: HistoryTemplate = HistoryTemplate()
    passage: str = "[{rank}] {title}: {text}"
    examples: tuple[Example, ...] = ()
    extract: str | None = None
    abstain: str | None = None

    @field_validator("passage")
    @classmethod
    def _holds_the_text(cls, form: str) -> str:
        if form.count("{text}") != 1 or placeholders(form) - {"rank", "title", "text"}:
            raise ValueError("must hold {text} once, and nothing else in braces but {rank} and {title}")
        return form

    @field_validator("user")
    @classmethod
    def _asks_of_the_turn(cls, form: str) -> str:
        if not placeholders(form):
            raise ValueError("must hold a placeholder such as {question}")
        return form

    @field_validator("extract")
    @classmethod
    def _names_the_text(cls, expression: str | None) -> str | None:
        if expression is not None:
            try:
                groups = re.compile(expression).groupindex
            except re.error as error:
                raise ValueError(f"is no regular expression ({error})") from None
            if "text" not in groups:
                raise ValueError("must hold the group (?P<text>...)")
        return expression

    @field_validator("abstain")
    @classmethod
    def _has_words(cls, sentence: str | None) -> str | None:
        if sentence is not None and not _WORD.search(sentence):
            raise ValueError("must be a sentence")
        return sentence

    @model_validator(mode="after")
    def _knows_what_it_declines_with(self) -> PromptConfig:
        if "abstain" in self.placeholders and self.abstain is None:
            raise ValueError("{abstain} stands in the prompt, and the key 'abstain' says no sentence")
        return self

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the placeholders in it."""
        return frozenset(placeholders(self.system + self.user))


def prompt_names() -> list[str]:
    """Names of the prompts that come with convbench."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def read_prompt(given: str | Mapping[str, Any] | PromptConfig) -> PromptConfig:
    """A prompt by its name, or written out.

    Args:
        given: Name of a file in ``convbench/writing/prompts`` without ``.yaml``, or a prompt's values.

    Raises:
        UsageError: There is no such prompt, or a value is wrong.
        DataError: A value in the file is wrong.
    """
    if isinstance(given, PromptConfig):
        return given
    if not isinstance(given, str):
        return build_config(PromptConfig, dict(given), "prompt")
    names = prompt_names()
    if given not in names:
        known = ", ".join(names) or "none"
        raise UsageError(f"unknown prompt {given!r}.{did_you_mean(given, names)} Known: {known}; or write the prompt out as a mapping")
    return _read(_FOLDER / f"{given}.yaml")


@cache
def _read(path: Path) -> PromptConfig:
    """A prompt of convbench's own; a list of baselines asks for some of them many times."""
    return load_config(PromptConfig, path)


def check_prompt(prompt: PromptConfig, extra: Iterable[str] = (), *, origin: str = "prompt") -> None:
    """Makes sure that every placeholder will be filled in.

    Args:
        prompt: The prompt.
        extra: Names that the caller fills in beside the usual ones.
        origin: Where the prompt stands, for the error.

    Raises:
        UsageError: One is not among them.
    """
    known = [*_ALWAYS, *extra]
    for name in sorted(prompt.placeholders - set(known)):
        listed = ", ".join(f"{{{each}}}" for each in known)
        raise UsageError(f"{origin}: nothing fills in the placeholder {{{name}}}.{did_you_mean(name, known)} Known here: {listed}")


def messages(
    prompt: PromptConfig, *, question: str, earlier: Sequence[Utterance] = (), passages: Sequence[Passage] = (), **extra: str
) -> Messages:
    """The messages for one turn: system, examples, user.

    Everything is filled in at once, so that braces within a turn's texts stand for themselves.

    Args:
        prompt: The prompt.
        question: For ``{question}``.
        earlier: The earlier utterances, oldest first, for ``{history}``.
        passages: The passages, best first, for ``{passages}``.
        extra: Other placeholders and their texts.

    Raises:
        UsageError: A placeholder has no text.
    """
    check_prompt(prompt, extra)
    texts = {
        "question": question,
        "history": _history(prompt.session, earlier),
        "passages": "\n".join(_passage(prompt.passage, rank, passage) for rank, passage in enumerate(passages, 1)),
        "abstain": prompt.abstain or "",
        **extra,
    }
    system = filled(prompt.system, texts).strip()
    examples = [message for example in prompt.examples for message in (("user", example.user), ("assistant", example.assistant))]
    return (*([("system", system)] if system else []), *examples, ("user", filled(prompt.user, texts).strip()))


def extracted(prompt: PromptConfig, text: str) -> str:
    """What of an answer is used: the group ``text`` of the first match; empty where the answer is not as the prompt asks for."""
    if prompt.extract is None:
        return text.strip()
    found = re.search(prompt.extract, text, re.DOTALL)
    return (found["text"] or "").strip() if found else ""


def abstains(prompt: PromptConfig, text: str) -> bool:
    """Whether an answer, or its first sentence, is the sentence by which the model declines; case and punctuation do not matter."""
    if prompt.abstain is None:
        return False
    sentence = _words(prompt.abstain)
    return sentence in (_words(text), _words(_SENTENCE_END.split(text.strip(), maxsplit=1)[0]))


def _history(template: SessionTemplate, earlier: Sequence[Utterance]) -> str:
    forms = {"user": template.user, "agent": template.agent}
    parts = [forms[utterance.role].replace("{text}", utterance.text) for utterance in earlier]
    return template.separator.join(parts if template.order == "oldest-first" else parts[::-1])


def _passage(form: str, rank: int, passage: Passage) -> str:
    title = passage_title(passage).strip()
    return filled(form if title else _TITLE.sub("", form), {"rank": str(rank), "title": title, "text": passage.text})


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
