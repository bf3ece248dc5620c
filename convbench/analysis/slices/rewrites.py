"""Slicings by what a human rewrite had to change: how much a query leaves to its history, and in which way.

Words are case-folded runs of word characters. A rewrite lacks or adds a word where it has it less or more often than the query.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from convbench.analysis.slices.base import in_order
from convbench.datasets.plain_words import plain_words
from convbench.types import Conversation, TurnRecord

LARGE = 1 / 3
"""From more than this share of new words on, a rewrite is far from its query; near the median of the datasets with rewrites."""

_REFERRING = "he him his himself she her hers herself it its itself they them their theirs themselves this that these those"
REFERRING = frozenset(_REFERRING.split())
"""Third-person pronouns and demonstratives."""

_DISTANCES = ("identical", "small", "large")
_YES_NO = ("yes", "no")


class RewriteDistance:
    """How much of the rewrite is new."""

    name = "rewrite-distance"
    title = "Distance of the rewrite"
    description = (
        "identical: query and human rewrite have the same words in the same order; otherwise large where more than a third of the "
        "rewrite's words are not in the query, else small; turns without a rewrite have no label."
    )

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> dict[str, str]:
        """Identical, small or large."""
        return {turn_id: _distance(query, rewrite) for turn_id, query, rewrite in _rewritten(conversation)}

    def order(self, labels: Collection[str]) -> list[str]:
        """Identical, small, large."""
        return in_order(labels, _DISTANCES)


class Anaphora:
    """Whether the query refers back by a pronoun."""

    name = "anaphora"
    title = "Anaphora"
    description = (
        "yes: the query holds a third-person pronoun or a demonstrative that the human rewrite no longer has; turns without a rewrite "
        "have no label."
    )

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> dict[str, str]:
        """Yes or no."""
        return {turn_id: _yes_no(_refers_back(query, rewrite)) for turn_id, query, rewrite in _rewritten(conversation)}

    def order(self, labels: Collection[str]) -> list[str]:
        """Yes, no."""
        return in_order(labels, _YES_NO)


class Ellipsis:
    """Whether the query leaves something out."""

    name = "ellipsis"
    title = "Ellipsis"
    description = (
        "yes: the human rewrite adds a content word (no English stop word), and no pronoun or demonstrative was replaced; turns without a "
        "rewrite have no label."
    )

    def labels(self, conversation: Conversation, runs: Sequence[Mapping[str, TurnRecord]]) -> dict[str, str]:
        """Yes or no."""
        from bm25s.stopwords import STOPWORDS_EN_PLUS

        stop_words = frozenset(STOPWORDS_EN_PLUS)
        return {
            turn_id: _yes_no(not _refers_back(query, rewrite) and bool(_added(query, rewrite).keys() - stop_words))
            for turn_id, query, rewrite in _rewritten(conversation)
        }

    def order(self, labels: Collection[str]) -> list[str]:
        """Yes, no."""
        return in_order(labels, _YES_NO)


def _rewritten(conversation: Conversation) -> Iterator[tuple[str, list[str], list[str]]]:
    """(turn id, words of the query, words of the rewrite) of every turn whose rewrite has words."""
    for turn in conversation.turns:
        if rewrite := plain_words(turn.rewrite or "").split():
            yield turn.id, plain_words(turn.query).split(), rewrite


def _distance(query: Sequence[str], rewrite: Sequence[str]) -> str:
    if query == rewrite:
        return "identical"
    return "large" if _added(query, rewrite).total() > LARGE * len(rewrite) else "small"


def _refers_back(query: Sequence[str], rewrite: Sequence[str]) -> bool:
    return not REFERRING.isdisjoint(Counter(query) - Counter(rewrite))


def _added(query: Sequence[str], rewrite: Sequence[str]) -> Counter[str]:
    return Counter(rewrite) - Counter(query)


def _yes_no(holds: bool) -> str:
    return "yes" if holds else "no"
