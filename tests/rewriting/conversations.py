"""A conversation to rewrite, and the rewriters' configurations."""

from __future__ import annotations

from typing import Any

from convbench.config import Config, build_config
from convbench.rewriting.base import QueryRewriter, RewriteInput
from convbench.rewriting.open import RewriterConfig, open_rewriter
from convbench.types import Turn
from convbench.views.session import Utterance

SAID = (
    Utterance("user", "Who built the Dune lighthouse?"),
    Utterance("agent", "Ada Brook built it in 1871."),
    Utterance("user", "How tall is it?"),
    Utterance("agent", "It is 38 metres tall."),
)
FIRST = RewriteInput(Turn("7_1", "Who built the Dune lighthouse?"))
THIRD = RewriteInput(Turn("7_3", "Is she buried there?"), SAID)


class _System(Config):
    rewriter: RewriterConfig


def rewriter_config(values: Any) -> Any:
    """A rewriter's configuration as it is read from a system's."""
    return build_config(_System, {"rewriter": values}, "system.yaml").rewriter


def rewriter_of(values: Any, *, seed: int = 1) -> QueryRewriter:
    """A rewriter from its configuration."""
    return open_rewriter(rewriter_config(values), offline=True, seed=seed)
