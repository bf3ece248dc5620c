"""What a retriever is asked: the texts to search with, and the session they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from convbench.errors import UsageError
from convbench.registry import did_you_mean
from convbench.views.session import Utterance

Combine = Literal["mean", "self-consistency"]
"""How several texts make one query (LLM4CS, Mao et al. 2023): the mean of their vectors, or the one vector nearest to that mean."""


@dataclass(frozen=True, slots=True)
class Query:
    """One turn's query.

    Attributes:
        turn_id: The turn.
        texts: What is searched with; at least one. A lexical retriever joins several.
        combine: How a dense retriever makes one vector of several texts.
        forms: Other texts by name, for a retriever that fuses rankings.
        question: The self-contained question, without history.
        asked: The question as the user put it.
        earlier: The earlier utterances that the history view shows, oldest first, for retrievers that write the session themselves.
    """

    turn_id: str
    texts: tuple[str, ...]
    combine: Combine = "mean"
    forms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    question: str = ""
    asked: str = ""
    earlier: tuple[Utterance, ...] = ()

    @classmethod
    def of(cls, turn_id: str, text: str) -> Query:
        """A query of one text."""
        return cls(turn_id, (text,), question=text, asked=text)

    @property
    def text(self) -> str:
        """The texts as one."""
        return " ".join(self.texts)

    def form(self, name: str) -> Query:
        """The query with the texts of another form.

        Raises:
            UsageError: The rewriter makes no such form.
        """
        if name not in self.forms:
            known = ", ".join(sorted(self.forms)) or "none"
            raise UsageError(f"turn {self.turn_id}: the rewriter makes no form {name!r}.{did_you_mean(name, self.forms)} Known: {known}")
        return replace(self, texts=self.forms[name])
