"""How a checkpoint wants to be used: what ``convbench.json`` beside the weights says, or a built-in profile."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from convbench.config import Config
from convbench.views.session import SessionTemplate


class Lengths(Config):
    """Longest inputs in tokens, opening and closing tokens included; a model with fewer positions lowers them.

    Attributes:
        session: A session (or query) as it is encoded for retrieval.
        passage: A passage as it is encoded for retrieval.
        evidence: One passage within a prompt.
        prompt: The whole prompt of a response, the response itself not included.
    """

    session: int = Field(default=1024, ge=8)
    passage: int = Field(default=384, ge=8)
    evidence: int = Field(default=384, ge=8)
    prompt: int = Field(default=3072, ge=16)


class PromptTemplate(Config):
    """What follows the session when the model is to respond.

    Attributes:
        start: Takes the place of the profile's ``query_prefix`` in prompts; None continues the retrieval input itself, which is what lets a
            response reuse the computation of the retrieval pass.
        evidence: Form of one passage: ``{rank}``, ``{title}``, ``{text}``.
        cue: The last words before the response.
        stop: The response ends before any of these; end-of-sequence tokens end it anyhow.
    """

    start: str | None = None
    evidence: str = "passage {rank}: {title}\n{text}\n"
    cue: str = "agent:"
    stop: tuple[str, ...] = ("\nuser:", "\nagent:", "\npassage ")

    @field_validator("evidence")
    @classmethod
    def _holds_the_text(cls, form: str) -> str:
        if form.count("{text}") != 1 or set(re.findall(r"\{(\w+)\}", form)) - {"rank", "title", "text"}:
            raise ValueError("must hold {text} once, and nothing else in braces but {rank} and {title}")
        return form

    @field_validator("stop")
    @classmethod
    def _something_to_stop_at(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        if not all(stop):
            raise ValueError("a stop string must not be empty")
        return stop


class Profile(Config):
    """How to use a checkpoint.

    Attributes:
        pooling: ``last`` reads the last token of the input, ``cls`` the first, ``mean`` averages.
        attention: What a token sees while texts are encoded; responses are always written causally.
        normalize: Whether vectors get length 1.
        head: What comes after pooling: ``ance`` is a linear layer and a LayerNorm whose weights the checkpoint holds.
        closing: Tokens that end every encoded text, each one token of the vocabulary; None leaves it to the tokenizer.
        pool_prefix: Whether mean pooling covers the prefix (instruction) and the opening token too.
        query_prefix: Before a session.
        query_suffix: Between a session and the closing tokens.
        passage_prefix: Before a passage.
        passage_suffix: Between a passage and the closing tokens.
        session: How sessions are written.
        prompt: How responses are asked for.
        lengths: Longest inputs.
        padding: The side that batches are padded on.
        query_model: The checkpoint that encodes queries, where it is another one: a hub id, or a folder as seen from this one.
        passage_model: The checkpoint that encodes passages, where it is another one.
        responds: Whether it also writes responses; None: where it has the weights for it.
        lm_head: ``checkpoint`` needs the head's weights; ``embeddings`` multiplies with the input embeddings, for encoders that were never
            trained to write.
    """

    pooling: Literal["last", "cls", "mean"]
    attention: Literal["causal", "bidirectional"]
    normalize: bool = True
    head: Literal["none", "ance"] = "none"
    closing: tuple[str, ...] | None = None
    pool_prefix: bool = True
    query_prefix: str = ""
    query_suffix: str = ""
    passage_prefix: str = ""
    passage_suffix: str = ""
    session: SessionTemplate = SessionTemplate()
    prompt: PromptTemplate = PromptTemplate()
    lengths: Lengths = Lengths()
    padding: Literal["left", "right"] = "right"
    query_model: str | None = None
    passage_model: str | None = None
    responds: bool | None = None
    lm_head: Literal["checkpoint", "embeddings"] = "checkpoint"

    @field_validator("closing")
    @classmethod
    def _something_to_close_with(cls, closing: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if closing is not None and not all(closing):
            raise ValueError("a closing token must not be empty")
        return closing

    @model_validator(mode="after")
    def _prefix_only_matters_to_the_mean(self) -> Profile:
        if not self.pool_prefix and self.pooling != "mean":
            raise ValueError("pool_prefix: false needs pooling: mean")
        return self

    @model_validator(mode="after")
    def _one_side_is_its_own(self) -> Profile:
        if self.query_model and self.passage_model:
            raise ValueError("query_model and passage_model: give one of them, the other is the checkpoint itself")
        return self
