"""Several rewriters side by side, for a retriever that fuses what each of their queries finds (CHIQ-Fusion, Mo et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from convbench.config import Config
from convbench.meter import Meter
from convbench.rewriting.answers import added
from convbench.rewriting.base import QueryRewriter, Rewrite, RewriteInput
from convbench.rewriting.prompted_config import PromptedConfig, rewriter_tag
from convbench.rewriting.seq2seq import Seq2SeqRewriterConfig
from convbench.types import Turn

One = Annotated[
    Annotated[Literal["none", "human"], Tag("name")]
    | Annotated[Seq2SeqRewriterConfig, Tag("seq2seq")]
    | Annotated[PromptedConfig, Tag("prompted")],
    Discriminator(
        rewriter_tag,
        custom_error_type="rewriter",
        custom_error_message="Expected none, human, or a mapping with type: seq2seq or prompted",
    ),
]
"""One rewriter."""


class SeveralConfig(Config):
    """Rewriters by name.

    Attributes:
        rewriters: Name of a form -> the rewriter that makes it; the first one's question is the turn's question.
    """

    type: Literal["several"]
    rewriters: dict[Annotated[str, Field(min_length=1)], One] = Field(min_length=2)

    @field_validator("rewriters")
    @classmethod
    def _aggregate_alike(cls, rewriters: dict[str, One]) -> dict[str, One]:
        ways = {config.combine for config in rewriters.values() if isinstance(config, PromptedConfig)}
        if len(ways) > 1:
            raise ValueError("all must take self-consistency for their aggregation, or none: a retriever has one way for all forms")
        return rewriters


class SeveralRewriters:
    """Runs a ``SeveralConfig``.

    Args:
        rewriters: The rewriters by the names of their forms; the first one's question is the turn's question.
    """

    reads_history = True

    def __init__(self, rewriters: Mapping[str, QueryRewriter]) -> None:
        self._rewriters = dict(rewriters)
        self.batch_size = min(rewriter.batch_size for rewriter in rewriters.values())

    def describe(self) -> dict[str, Any]:
        """Every rewriter, in order: the first one's question counts."""
        return {"type": "several", "rewriters": [[name, rewriter.describe()] for name, rewriter in self._rewriters.items()]}

    def check(self, turns: Sequence[Turn]) -> None:
        """Passes the check on to each."""
        for rewriter in self._rewriters.values():
            rewriter.check(turns)

    def open(self, cache: Path, meter: Meter) -> None:
        """Loads the models of each."""
        for rewriter in self._rewriters.values():
            rewriter.open(cache, meter)

    def rewrite(self, inputs: Sequence[RewriteInput], meter: Meter) -> list[Rewrite]:
        """The first one's rewrites, with the texts of each as a form."""
        with meter.phase("rewrite", turns=len(inputs)):
            made = {name: rewriter.rewrite(inputs, meter) for name, rewriter in self._rewriters.items()}
        return [self._joined({name: rewrites[index] for name, rewrites in made.items()}) for index in range(len(inputs))]

    @staticmethod
    def _joined(rewrites: Mapping[str, Rewrite]) -> Rewrite:
        first, *_ = rewrites.values()
        combine = next((each.combine for each in rewrites.values() if each.combine != "mean"), first.combine)
        failures = [f"{name}: {each.failure}" for name, each in rewrites.items() if each.failure]
        return Rewrite(
            question=first.question,
            texts=first.texts,
            combine=combine,
            forms={name: each.texts or (each.question,) for name, each in rewrites.items()},
            usage=added(each.usage for each in rewrites.values()),
            failure="; ".join(failures) or None,
        )
