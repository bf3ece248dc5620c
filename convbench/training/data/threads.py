"""Conversations known again by what their users ask, one question after the other."""

from __future__ import annotations

from collections.abc import Sequence

from convbench.datasets.plain_words import plain_words
from convbench.types import Conversation, Turn

SHORTEST_THREAD = 10
"""Threads of fewer words ("where was he born? who were his parents?") are alike by chance and are not compared."""


def threads_of(conversations: Sequence[Conversation]) -> dict[str, str]:
    """What identifies turns in any dataset: thread of questions -> the id of a turn that ends it.

    A thread is the questions of a turn and its history, without case, punctuation and blanks; at least two questions, at least
    ``SHORTEST_THREAD`` words. Each also stands there without its first question, which OR-QuAC and QReCC replace by its rewrite. Responses
    are left out, as datasets that took over a conversation edited them: between the samples of QReCC and CANARD that the tests read, 15
    conversations have a thread in common, and no turn agrees with the responses too.
    """
    threads: dict[str, str] = {}
    for conversation in conversations:
        plain: dict[str, str] = {}  # every text is in the history of all later turns
        for turn in conversation.turns:
            asked = _questions(turn, plain)
            for questions in (asked, asked[1:]):
                if len(questions) > 1 and sum(text.count(" ") + 1 for text in questions) >= SHORTEST_THREAD:
                    threads.setdefault("\n".join(questions), turn.id)
    return threads


def _questions(turn: Turn, plain: dict[str, str]) -> list[str]:
    texts = [*(exchange.query for exchange in turn.history), turn.query]
    for text in texts:
        if text not in plain:
            plain[text] = plain_words(text)
    return [plain[text] for text in texts if plain[text]]
