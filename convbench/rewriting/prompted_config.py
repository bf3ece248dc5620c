"""Settings of rewriters that prompt a language model: steps, and what becomes of their answers."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from convbench.config import Config
from convbench.errors import ConvbenchError
from convbench.registry import did_you_mean
from convbench.rewriting.seq2seq import Seq2SeqRewriterConfig
from convbench.rewriting.steps import GIVEN, Step, StepConfig
from convbench.views.query import Combine
from convbench.writing.open import LanguageModelConfig
from convbench.writing.prompts import check_prompt, read_prompt
from convbench.writing.seq2seq import Seq2SeqConfig
from convbench.writing.templates import check_form, placeholders

Aggregation = Literal["first", "max-probability", "mean", "self-consistency"]
"""What becomes of several samples (LLM4CS, Mao et al. 2023): the first is taken, the likeliest, the mean of all vectors, or the one
nearest to that mean."""

_TAKEN = (*GIVEN, "history", "passages", "abstain", "prompt", "earlier")
"""Names of placeholders, and of what a prompt is filled in with."""


def rewriter_tag(given: Any) -> str | None:
    """Which kind of rewriter a configuration is: ``name`` for a bare word, else its ``type``."""
    if isinstance(given, str):
        return "name"
    kind = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)
    return kind if isinstance(kind, str) else None


class PromptedConfig(Config):
    """A language model rewrites in one or more steps.

    Attributes:
        model: The language model, of all steps.
        start: A rewriter that goes first; its question is ``{start}``.
        steps: The prompts, in order.
        question: The rewritten question, with the steps' answers as placeholders; where nothing is in it, that of ``start``, else the
            question as it was asked.
        query: What is searched with; empty: the question. A text that holds the answer of a step with several samples stands for as many
            texts.
        aggregation: What becomes of several samples. Later steps see the first that is kept.
        batch_size: Turns rewritten together.
    """

    type: Literal["prompted"]
    model: LanguageModelConfig
    start: Start | None = None
    steps: tuple[StepConfig, ...] = Field(min_length=1)
    question: str = Field(default="{question}", min_length=1)
    query: tuple[str, ...] = ()
    aggregation: Aggregation = "first"
    batch_size: int = Field(default=32, ge=1)

    @property
    def combine(self) -> Combine:
        """How a retriever makes one query of several texts."""
        return "self-consistency" if self.aggregation == "self-consistency" else "mean"

    @property
    def searched(self) -> tuple[str, ...]:
        """What is searched with, before the answers are filled in."""
        return self.query or (self.question,)

    @property
    def opened(self) -> tuple[Step, ...]:
        """The steps with their prompts."""
        best, first = self.aggregation == "max-probability", self.aggregation == "first"
        return tuple(Step(step, read_prompt(step.prompt), best_only=best, first_only=first) for step in self.steps)

    @model_validator(mode="after")
    def _fits_together(self) -> PromptedConfig:
        try:
            self._check_steps()
        except ConvbenchError as error:
            raise ValueError(str(error)) from None
        return self

    def _check_steps(self) -> None:
        known = [name for name in GIVEN if name != "start" or self.start is not None]
        many: dict[str, str] = {}
        for step in self.opened:
            _check_step(step, known)
            if isinstance(self.model, Seq2SeqConfig) and (step.prompt.system or step.prompt.examples):
                raise ValueError(f"step {step.config.name}: an encoder-decoder model reads one text, and its prompt has several messages")
            known += step.gives
            if step.config.samples > 1 and not (step.best_only or step.first_only):
                many |= dict.fromkeys(step.gives, step.config.name)
        twice = [name for name, count in Counter(known).items() if count > 1]
        if twice:
            raise ValueError(f"two steps give {{{twice[0]}}}: rename a step, or a group of its prompt")
        for key, form in [("question", self.question), *(("query", form) for form in self.query)]:
            check_form(form, known, key)
        self._check_samples(many)

    def _check_samples(self, many: dict[str, str]) -> None:
        mixed = [form for form in self.searched if len({many[name] for name in placeholders(form) & many.keys()}) > 1]
        if mixed:
            raise ValueError(
                f"{'query' if self.query else 'question'}: {mixed[0]!r} mixes the samples of two steps; write two texts in 'query'"
            )
        if self.aggregation == "self-consistency" and len(self.query) > 1:
            raise ValueError("query: self-consistency takes one text of several samples; write one, such as '{rewrite} {response}'")


def _check_step(step: Step, known: list[str]) -> None:
    """Makes sure that a step asks only for texts that are there before it, and gives none under a name that is taken."""
    origin = f"step {step.config.name}"
    check_prompt(step.prompt, [name for name in known if name != "question"], origin=origin)
    if "passages" in step.prompt.placeholders:
        raise ValueError(f"{origin}: there are no passages before the search, and its prompt asks for {{passages}}")
    check_form(step.config.otherwise, known, f"{origin}, otherwise")
    for name in step.config.needs:
        if name not in (choices := [*known, "history"]):
            raise ValueError(f"{origin}, needs: unknown {name!r}.{did_you_mean(name, choices)} Known here: {', '.join(choices)}")
    taken = next((name for name in step.gives if name in _TAKEN), None)
    if taken:
        raise ValueError(f"{origin}: the name {taken!r} is taken; choose another")


Start = Annotated[
    Annotated[Literal["human"], Tag("name")]
    | Annotated[Seq2SeqRewriterConfig, Tag("seq2seq")]
    | Annotated[PromptedConfig, Tag("prompted")],
    Discriminator(
        rewriter_tag,
        custom_error_type="rewriter",
        custom_error_message="Expected human, or a mapping with type: seq2seq or prompted",
    ),
]
"""A rewriter that another goes on from."""

PromptedConfig.model_rebuild()
