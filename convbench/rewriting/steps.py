"""The steps of a prompted rewriter: each asks one prompt, and later ones can use what earlier ones gave."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field, field_validator

from convbench.config import Config
from convbench.errors import ConvbenchError, UsageError
from convbench.rewriting.answers import part_names, parts, usage_of, why_unusable
from convbench.rewriting.base import RewriteInput
from convbench.views.session import Utterance
from convbench.writing.base import Request, Text
from convbench.writing.prompts import PromptConfig, messages, read_prompt
from convbench.writing.templates import filled

GIVEN = ("question", "start", "last_question", "last_response")
"""The texts that are there before the first step; ``start`` where another rewriter goes first."""


class StepConfig(Config):
    """One prompt.

    Attributes:
        name: What its answer is called in later prompts and in the query, in braces.
        prompt: Name of a prompt, or the prompt itself. Further groups of its ``extract`` are parts of the answer, under their own names.
        samples: How many answers are asked for.
        needs: Placeholders that must have a text: where one has none (``history`` in a first turn), the step is left out.
        otherwise: What stands for the answer where the step is left out or no answer can be used.
        forget: A regular expression: where the answer matches it, later steps see no more of the history than the last exchange.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    prompt: str | PromptConfig
    samples: int = Field(default=1, ge=1, le=100)
    needs: tuple[str, ...] = ()
    otherwise: str = ""
    forget: str | None = None

    @field_validator("prompt")
    @classmethod
    def _can_be_read(cls, given: str | PromptConfig) -> str | PromptConfig:
        try:
            read_prompt(given)
        except ConvbenchError as error:
            raise ValueError(str(error)) from None
        return given

    @field_validator("forget")
    @classmethod
    def _compiles(cls, expression: str | None) -> str | None:
        try:
            re.compile(expression or "")
        except re.error as error:
            raise ValueError(f"is no regular expression ({error})") from None
        return expression


@dataclass(frozen=True, slots=True)
class Step:
    """A step with its prompt read.

    Attributes:
        config: Its settings.
        prompt: The prompt.
        best_only: Of several answers only the one that the model finds likeliest is kept.
        first_only: Only the first is kept.
    """

    config: StepConfig
    prompt: PromptConfig
    best_only: bool = False
    first_only: bool = False

    @property
    def gives(self) -> tuple[str, ...]:
        """Names of the parts of its answer; the first is its own."""
        return part_names(self.config.name, self.prompt)

    def request(self, draft: Draft) -> Request | None:
        """What the model is asked for one turn; None where the step is left out."""
        texts = draft.texts
        if not all(texts[name] if name != "history" else draft.earlier for name in self.config.needs):
            return None
        extra = {name: text for name, text in texts.items() if name != "question"}
        asked = messages(self.prompt, question=texts["question"], earlier=draft.earlier, passages=(), **extra)
        return Request(f"{draft.item.turn.id} {self.config.name}", asked, self.config.samples)

    def take(self, draft: Draft, answers: Sequence[Text]) -> None:
        """Puts the answers' parts into the draft.

        Raises:
            UsageError: The likeliest is wanted, and the model says of none how likely it is.
        """
        name = self.config.name
        draft.usage.update(usage_of(answers))
        found = [(answer, part) for answer in answers if (part := parts(name, self.prompt, answer.text)) is not None]
        if not found:
            draft.failed[name] = why_unusable(answers)
            self.leave_out(draft)
            return
        if self.best_only:
            found = [max(found, key=lambda pair: _likelihood(pair[0]))]
            if found[0][0].log_probability is None and len({answer.text for answer in answers}) > 1:
                raise UsageError(
                    f"turn {draft.item.turn.id}, step {name}: aggregation max-probability: the server does not say how likely its texts "
                    "are; choose another aggregation"
                )
        draft.samples[name] = tuple(part for _, part in (found[:1] if self.first_only else found))
        if self.config.forget is not None and re.search(self.config.forget, draft.samples[name][0][name]):
            draft.earlier = last_exchange(draft.earlier)

    def leave_out(self, draft: Draft) -> None:
        """Puts what stands for an answer into the draft."""
        draft.samples[self.config.name] = (
            {**dict.fromkeys(self.gives, ""), self.config.name: filled(self.config.otherwise, draft.texts).strip()},
        )


@dataclass(slots=True)
class Draft:
    """A turn on its way through the steps.

    Attributes:
        item: The turn.
        earlier: The earlier utterances that the next step sees.
        given: The texts that were there before the first step.
        samples: Step -> the parts of each of its answers.
        failed: Step -> why none of its answers can be used.
        usage: What the steps cost.
    """

    item: RewriteInput
    earlier: tuple[Utterance, ...]
    given: Mapping[str, str]
    samples: dict[str, tuple[dict[str, str], ...]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    usage: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, item: RewriteInput, start: str | None) -> Draft:
        """A turn before the first step.

        Args:
            item: The turn.
            start: What another rewriter made of the question.
        """
        last = last_exchange(item.earlier)
        said = {role: " ".join(utterance.text for utterance in last if utterance.role == role) for role in ("user", "agent")}
        given = {"question": item.turn.query, "last_question": said["user"], "last_response": said["agent"]}
        return cls(item, item.earlier, given if start is None else {**given, "start": start})

    @property
    def texts(self) -> dict[str, str]:
        """The text of every placeholder so far; of several samples the first."""
        first = [samples[0] for samples in self.samples.values()]
        return {**self.given, **{name: text for part in first for name, text in part.items()}}


def last_exchange(earlier: Sequence[Utterance]) -> tuple[Utterance, ...]:
    """The user's last utterance and what the system said to it."""
    asked = max((index for index, utterance in enumerate(earlier) if utterance.role == "user"), default=0)
    return tuple(earlier[asked:])


def _likelihood(answer: Text) -> float:
    return float("-inf") if answer.log_probability is None else answer.log_probability
