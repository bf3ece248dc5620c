"""Rewriters from their configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from convbench.rewriting.base import HumanRewriter, NoRewriter, QueryRewriter
from convbench.rewriting.prompted import PromptedRewriter
from convbench.rewriting.prompted_config import PromptedConfig, rewriter_tag
from convbench.rewriting.seq2seq import Seq2SeqRewriter, Seq2SeqRewriterConfig
from convbench.rewriting.several import SeveralConfig, SeveralRewriters
from convbench.writing.open import open_language_model

RewriterConfig = Annotated[
    Annotated[Literal["none", "human"], Tag("name")]
    | Annotated[Seq2SeqRewriterConfig, Tag("seq2seq")]
    | Annotated[PromptedConfig, Tag("prompted")]
    | Annotated[SeveralConfig, Tag("several")],
    Discriminator(
        rewriter_tag,
        custom_error_type="rewriter",
        custom_error_message="Expected none, human, or a mapping with type: seq2seq, prompted or several",
    ),
]


def open_rewriter(
    config: Literal["none", "human"] | Seq2SeqRewriterConfig | PromptedConfig | SeveralConfig, *, offline: bool, seed: int
) -> QueryRewriter:
    """The rewriter; nothing is loaded yet.

    Args:
        config: ``none``, ``human``, or a model's settings.
        offline: Refuse the network.
        seed: Of sampling.
    """
    if isinstance(config, SeveralConfig):
        return SeveralRewriters({name: open_rewriter(one, offline=offline, seed=seed) for name, one in config.rewriters.items()})
    if isinstance(config, PromptedConfig):
        start = open_rewriter(config.start, offline=offline, seed=seed) if config.start is not None else None
        return PromptedRewriter(config, open_language_model(config.model, offline=offline, seed=seed), start)
    if isinstance(config, Seq2SeqRewriterConfig):
        answer = open_language_model(config.answer, offline=offline, seed=seed) if config.answer is not None else None
        return Seq2SeqRewriter(config, open_language_model(config.model, offline=offline, seed=seed), answer)
    return HumanRewriter() if config == "human" else NoRewriter()
