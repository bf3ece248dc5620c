"""The protocol of rewriters, and the two that need no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from convbench.errors import UsageError
from convbench.meter import Meter
from convbench.types import Turn
from convbench.views.query import Combine
from convbench.views.session import Utterance


@dataclass(frozen=True, slots=True)
class RewriteInput:
    """What a rewriter sees of one turn.

    Attributes:
        turn: The turn; its own history is the dataset's, or the system's own where the history view says so.
        earlier: The earlier utterances that the history view shows, oldest first.
    """

    turn: Turn
    earlier: tuple[Utterance, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What became of a question.

    Attributes:
        question: One self-contained question: what the responder and a reranker see.
        texts: What is searched with, where it is not the question alone: an expansion, or several samples.
        combine: How the retriever makes one query of several texts.
        forms: Other texts to search with, by name, for retrievers that fuse the rankings of several.
        usage: What it cost: ``rewrite_tokens_in``, ``rewrite_tokens_out`` ...
        failure: Why the question is left as it was, where the model wrote nothing usable.
    """

    question: str
    texts: tuple[str, ...] = ()
    combine: Combine = "mean"
    forms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    usage: Mapping[str, int] = field(default_factory=dict)
    failure: str | None = None


@runtime_checkable
class QueryRewriter(Protocol):
    """Turns a contextual question into a self-contained one.

    Attributes:
        reads_history: Whether it works on the earlier utterances: then what it writes is searched with alone, and the history is not
            written into the query once more.
        batch_size: Turns rewritten together. A fixed partition of the turns into batches makes a resumed run equal to a whole one.
    """

    reads_history: bool
    batch_size: int

    def describe(self) -> dict[str, Any]:
        """Everything that changes a rewrite."""

    def check(self, turns: Sequence[Turn]) -> None:
        """Raises before any work where some turn cannot be rewritten, or a model cannot be had."""

    def open(self, cache: Path, meter: Meter) -> None:
        """Loads models; their sizes go to the meter."""

    def rewrite(self, inputs: Sequence[RewriteInput], meter: Meter) -> list[Rewrite]:
        """One rewrite an input, in order."""


class NoRewriter:
    """Leaves the user's question as it is."""

    reads_history = False
    batch_size = 4096

    def describe(self) -> dict[str, Any]:
        """Nothing changes."""
        return {"type": "none"}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn will do."""

    def open(self, cache: Path, meter: Meter) -> None:
        """Nothing to load."""

    def rewrite(self, inputs: Sequence[RewriteInput], meter: Meter) -> list[Rewrite]:
        """The questions as asked."""
        return [Rewrite(item.turn.query) for item in inputs]


class HumanRewriter:
    """The dataset's human rewrites, or those given with ``--rewrites``."""

    reads_history = False
    batch_size = 4096

    def describe(self) -> dict[str, Any]:
        """The rewrites' file is part of the dataset's identity, not of the rewriter's."""
        return {"type": "human"}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn must have a rewrite.

        Raises:
            UsageError: Some have none; says how many and names the first.
        """
        missing = [turn.id for turn in turns if not turn.rewrite]
        if missing:
            raise UsageError(
                f"{len(missing)} of {len(turns)} turns have no human rewrite (first: {', '.join(missing[:3])}); "
                "give them with --rewrites FILE (lines of {turn_id, rewrite})"
            )

    def open(self, cache: Path, meter: Meter) -> None:
        """Nothing to load."""

    def rewrite(self, inputs: Sequence[RewriteInput], meter: Meter) -> list[Rewrite]:
        """The human rewrites."""
        return [Rewrite(item.turn.rewrite or "") for item in inputs]
