"""QReCC's own relevance: a passage is relevant where a span of it is close enough to the answer.

The rule is that of ``utils/span_heuristic.py`` and ``utils/evaluate_retrieval.py`` in apple/ml-qrecc (Anantha et al. 2021, Table 5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.metrics import squad
from convbench.metrics.base import Measure, Side, signature
from convbench.metrics.overlap import overlap
from convbench.metrics.relevance import known_passages, reciprocal_rank, score_rankings, success
from convbench.metrics.responses import references_of
from convbench.metrics.retrieval import DEPTH
from convbench.retrieval.canonical import TIE_RULE
from convbench.types import Score, Turn, TurnRecord

THRESHOLD = 0.8
_LOWEST_RECALL = THRESHOLD / (2 - THRESHOLD)
"""F1 = 2PR / (P + R) is at most 2R / (1 + R), so an F1 of 0.8 takes a recall of two thirds."""

_NO_ANSWER = "the turn has no answer: nothing counts as relevant"


class SpanRelevanceMetric:
    """``RR`` and ``Success@k`` (which the paper calls Recall@k) of rankings in which relevance is read off the passages' texts.

    Passages that no annotator saw can be relevant here, and a gold passage of the judgements need not be. A turn without an answer scores
    0, whatever is retrieved.

    Args:
        cutoffs: The k of every success measure.
        depth: Passages of a ranking that count.
    """

    name = "span-relevance"
    version = 1
    needs: Side = "ranking"
    reads_passages = True
    reads_references = True
    batch_size = 64

    def __init__(self, cutoffs: Sequence[int] = (10, 100), depth: int = DEPTH) -> None:
        if not all(1 <= cutoff <= depth for cutoff in cutoffs):
            raise UsageError(f"span-relevance: cutoffs {list(cutoffs)}; expected numbers from 1 to the depth of {depth}")
        self._cutoffs = list(cutoffs)
        self._depth = depth
        self._passages: PassageStore | None = None

    def measures(self) -> list[Measure]:
        """RR@depth and Success@k for every cutoff."""
        parts = {"relevance": f"span-f1>={THRESHOLD}", "depth": self._depth, "ties": TIE_RULE, "unjudged": 0}
        return [Measure(name, signature(name, **parts)) for name in self._names]

    def check_resources(self) -> None:
        """Nothing is needed beyond the installed packages."""

    def open_passages(self, passages: PassageStore) -> None:
        """The collection, in whose texts spans are looked for."""
        self._passages = passages

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``; a missing turn, an empty ranking or a turn without an answer scores 0."""
        retrieved = {id_ for turn in turns if turn.id in records for id_, _ in records[turn.id].passages}
        passages = known_passages(self._passages, retrieved)

        def values(turn: Turn, ids: Sequence[str]) -> list[float]:
            answer = references_of(turn)[0]
            relevant = [passage is not None and is_relevant(passage.text, answer) for passage in map(passages.get, ids)]
            return [reciprocal_rank(relevant, self._depth), *(success(relevant, cutoff) for cutoff in self._cutoffs)]

        def without(turn: Turn) -> tuple[float, str] | None:
            return None if any(references_of(turn)) else (0.0, _NO_ANSWER)

        return score_rankings(turns, records, self._names, self._depth, values, without)

    @property
    def _names(self) -> list[str]:
        return [f"RR@{self._depth}", *(f"Success@{cutoff}" for cutoff in self._cutoffs)]


def is_relevant(passage: str, answer: str) -> bool:
    """Whether the closest span's token F1 with the answer reaches ``THRESHOLD``.

    Most passages share too few tokens with the answer for any span to reach it, which is found out without looking at spans. (An answer
    that stands within longer words, ``art`` in ``party``, is a span of characters and needs no token in common.)
    """
    expected = _normalised(answer)
    if expected and answer not in passage:
        common = (Counter(expected) & Counter(_normalised(passage))).total()
        if common < _LOWEST_RECALL * len(expected) - 1e-9:
            return False
    return overlap(expected, squad.tokens(closest_span(passage, answer))).f1 >= THRESHOLD


def closest_span(passage: str, answer: str) -> str:
    """The part of a passage that is closest to the answer.

    First the window of about the answer's length whose characters are most like the answer's (the answer itself, where it stands in the
    passage); then the part of that window with the highest token F1.
    """
    window = _window(passage, answer).split()
    tokens = [_token(word) for word in window]
    expected = [token for word in answer.split() if (token := _token(word))]
    best, best_start, best_stop = 0.0, 0, len(window)
    for start in range(len(tokens)):
        for stop in range(start + 1, len(tokens) + 1):
            f1 = overlap(expected, [token for token in tokens[start:stop] if token]).f1
            if f1 > best:
                best, best_start, best_stop = f1, start, stop
    return " ".join(window[best_start:best_stop])


def _window(passage: str, answer: str) -> str:
    if answer in passage:
        return answer
    words, length = passage.split(), len(answer.split())
    length += int(0.05 * length)
    matcher = SequenceMatcher()
    matcher.set_seq2(answer)
    best, window = 0.0, ""
    for start in range(len(words) - length + 1):
        candidate = " ".join(words[start : start + length])
        matcher.set_seq1(candidate)
        likeness = matcher.quick_ratio()
        if likeness > best:
            best, window = likeness, candidate
        if likeness == 1.0:
            break
    return window


def _token(word: str) -> str:
    """A word normalised alone; it can come out empty."""
    return squad.ARTICLE.sub("", word.lower().translate(squad.PUNCTUATION))


@lru_cache(maxsize=1 << 15)
def _normalised(text: str) -> list[str]:
    return squad.tokens(text)
