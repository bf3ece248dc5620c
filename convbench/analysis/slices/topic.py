"""Slicing by whether the topic changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from convbench.analysis.slices.base import in_order
from convbench.types import Conversation, TurnRecord

ORDER = ("first", "same", "shift", "return")


class TopicChange:
    """The topic of a turn against those before it."""

    name = "topic"
    title = "Topic change"
    description = (
        "first: no earlier turn has a topic; same: the topic of the latest earlier turn that has one; return: an older topic; shift: a new "
        "one; turns without a topic have no label and are passed over."
    )

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> dict[str, str]:
        """First, same, shift or return. A turn without a topic (UNANSWERABLE in TopiOCQA) leaves the topic before it in force."""
        found: dict[str, str] = {}
        earlier: list[str] = []
        for turn in conversation.turns:
            if turn.topic:
                found[turn.id] = _change(turn.topic, earlier)
                earlier.append(turn.topic)
        return found

    def order(self, labels: Collection[str]) -> list[str]:
        """First, same, shift, return."""
        return in_order(labels, ORDER)


def _change(topic: str, earlier: Sequence[str]) -> str:
    if not earlier:
        return "first"
    if topic == earlier[-1]:
        return "same"
    return "return" if topic in earlier else "shift"
