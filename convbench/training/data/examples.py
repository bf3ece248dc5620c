"""A training example: a turn with what its session should retrieve and what should be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, get_args

from convbench.datasets.plain_words import plain_words
from convbench.types import Passage, Turn, conversation_of
from convbench.views.passages import passage_text

Objective = Literal["retrieval", "response", "identification"]
"""``L_R``, ``L_G`` and ``L_CII`` of UniConv (Mo et al. 2025)."""

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@dataclass(frozen=True, slots=True)
class Example:
    """One turn to learn from.

    Attributes:
        id: ``<source>/<turn id>``, unique within a mixture.
        source: The source's name.
        turn: What the session is written from, with ``TurnInputs.session(turn, history)`` as at inference. Of chat and pairs, which have
            no dataset, it is made of their texts.
        history: The history view of the session.
        gold: The passages that answer the turn, best grade first. Empty where none is known; ids mean something within the source only.
        response: What should be said, or None.
        negatives: Passages that were written beside the turn as wrong ones; none of them has the text of a gold one.
        objectives: What the example feeds: the source's objectives, as far as it has what they need.
    """

    id: str
    source: str
    turn: Turn
    history: str
    gold: tuple[Passage, ...]
    response: str | None
    negatives: tuple[Passage, ...]
    objectives: frozenset[Objective]

    @property
    def conversation(self) -> str:
        """``<source>/<conversation id>``: examples of one conversation share it, others do not."""
        return conversation_of(self.id)

    @property
    def positive(self) -> Passage | None:
        """The passage to retrieve: the gold one of the best grade."""
        return self.gold[0] if self.gold else None

    @property
    def gold_keys(self) -> frozenset[str]:
        """The keys of the gold passages: a passage with one of them is no negative for this turn, whatever its id."""
        return frozenset(map(passage_key, self.gold))


def passage_key(passage: Passage) -> str:
    """What a passage shares with its copies, in any collection: a digest of its text without title, case, punctuation and blanks.

    Passages of one id have one text, so keys also tell what ids would; ids themselves repeat from collection to collection.
    """
    return blake2b((plain_words(passage.text) or f"\0{passage_text(passage)}").encode(), digest_size=16).hexdigest()


def possible(objectives: Sequence[Objective], gold: Sequence[Passage], response: str | None) -> frozenset[Objective]:
    """Which of some objectives a turn can feed: retrieval needs a gold passage, response a response, identification both."""
    has: dict[Objective, bool] = {
        "retrieval": bool(gold),
        "response": response is not None,
        "identification": bool(gold) and response is not None,
    }
    return frozenset(objective for objective in objectives if has[objective])
