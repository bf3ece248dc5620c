"""The protocol of rewriters, and the two that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from convbench.errors import UsageError
from convbench.types import Turn


@runtime_checkable
class QueryRewriter(Protocol):
    """Turns a contextual question into a self-contained one."""

    def describe(self) -> dict[str, Any]:
        """Everything that changes a rewrite."""

    def check(self, turns: Sequence[Turn]) -> None:
        """Raises before any work where some turn cannot be rewritten."""

    def rewrite(self, turns: Sequence[Turn]) -> list[str]:
        """One question a turn, in order."""


class NoRewriter:
    """Leaves the user's question as it is."""

    def describe(self) -> dict[str, Any]:
        """Nothing changes."""
        return {"type": "none"}

    def check(self, turns: Sequence[Turn]) -> None:
        """Every turn will do."""

    def rewrite(self, turns: Sequence[Turn]) -> list[str]:
        """The questions as asked."""
        return [turn.query for turn in turns]


class HumanRewriter:
    """The dataset's human rewrites, or those given with ``--rewrites``."""

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

    def rewrite(self, turns: Sequence[Turn]) -> list[str]:
        """The human rewrites."""
        return [turn.rewrite or "" for turn in turns]
