"""The prompt budget: what of a session and of the evidence fits into so many tokens, and what had to go.

Tokens are an ``encode``'s: any function from a text to token ids without opening and closing tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from convbench.errors import UsageError
from convbench.types import Passage
from convbench.views.history import HistoryView, utterances
from convbench.views.passages import passage_title
from convbench.views.session import Utterance

Encode = Callable[[str], list[int]]
Write = Callable[[str, Sequence[Utterance]], str]
"""Writes a question and the earlier utterances, oldest first: ``SessionTemplate.write``."""

_FEWEST = 8
"""A passage with fewer tokens of its text left says nothing, and is dropped rather than cut."""


@dataclass(frozen=True, slots=True)
class FittedSession:
    """A session within its budget.

    Attributes:
        text: The session as written.
        tokens: Its tokens.
        kept: Ids of the earlier turns in it, oldest first.
        dropped: Ids of the earlier turns that had no room, oldest first.
    """

    text: str
    tokens: tuple[int, ...]
    kept: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FittedEvidence:
    """Evidence and cue within their budget.

    Attributes:
        tokens: The passages, best first, then the cue.
        passages: Ids of the passages in it.
        dropped: Ids of the passages that had no room.
        cut: Ids of the passages in it that lost the end of their text.
    """

    tokens: tuple[int, ...]
    passages: tuple[str, ...]
    dropped: tuple[str, ...]
    cut: tuple[str, ...]


def fit_session(view: HistoryView, question: str, write: Write, encode: Encode, budget: int, turn_id: str) -> FittedSession:
    """Drops the oldest exchanges until the session fits; never the question.

    Args:
        view: The history.
        question: The current question.
        write: Writes a session.
        encode: Gives a text's tokens.
        budget: Tokens that the session may have, opening and closing tokens not counted.
        turn_id: The turn, for the error.

    Raises:
        UsageError: The question alone does not fit.
    """

    def without(oldest: int) -> FittedSession:
        shown = replace(view, history=view.history[oldest:])
        text = write(question, utterances(shown))
        return FittedSession(text, tuple(encode(text)), shown.kept, view.kept[:oldest])

    whole = without(0)
    if len(whole.tokens) <= budget:
        return whole
    best = without(len(view.history))
    if (missing := len(best.tokens) - budget) > 0:
        raise UsageError(
            f"turn {turn_id}: the question alone has {len(best.tokens)} tokens, and {budget} fit into a session: "
            f"raise lengths.session by {missing} or more, as far as the model has positions"
        )
    too_few, enough = 0, len(view.history)
    while enough - too_few > 1:  # sessions get longer with every exchange, so that halving finds the longest that fits
        middle = (too_few + enough) // 2
        fitted = without(middle)
        if len(fitted.tokens) <= budget:
            best, enough = fitted, middle
        else:
            too_few = middle
    return best


def fit_evidence(
    form: str, cue: str, passages: Sequence[Passage], encode: Encode, budget: int, longest: int, turn_id: str
) -> FittedEvidence:
    """Cuts long passages and drops the lowest-ranked ones until evidence and cue fit; never the cue.

    The best passage is cut further where it does not fit alone.

    Args:
        form: Form of one passage: ``{rank}``, ``{title}``, ``{text}``.
        cue: What follows the passages.
        passages: The passages, best first.
        encode: Gives a text's tokens.
        budget: Tokens that passages and cue may have.
        longest: Tokens that one passage may have, its form included.
        turn_id: The turn, for the error.

    Raises:
        UsageError: The cue alone does not fit.
    """
    ending = encode(cue)
    if (missing := len(ending) - budget) > 0:
        raise UsageError(
            f"turn {turn_id}: the session leaves {max(budget, 0)} tokens of the prompt, and the cue before the response has {len(ending)}: "
            f"raise lengths.prompt by {missing} or more, or lower lengths.session"
        )
    tokens: list[int] = []
    kept: list[str] = []
    cut: list[str] = []
    for rank, passage in enumerate(passages, 1):
        room = budget - len(ending) - len(tokens)
        written = _Form(form, rank, passage)
        whole = written.tokens(encode)
        limit = longest if kept else min(longest, room)
        fitted = whole if len(whole) <= limit else written.cut(encode, limit)
        if fitted is None or len(fitted) > room:
            break
        tokens += fitted
        kept.append(passage.id)
        if fitted is not whole:
            cut.append(passage.id)
    dropped = tuple(passage.id for passage in passages[len(kept) :])
    return FittedEvidence((*tokens, *ending), tuple(kept), dropped, tuple(cut))


def truncation(session: FittedSession, evidence: FittedEvidence | None = None) -> dict[str, list[str]]:
    """What did not fit, for the ledger's ``truncated``: ids by kind, empty where everything fitted."""
    lost = {
        "history": session.dropped,
        "passages_dropped": evidence.dropped if evidence else (),
        "passages_cut": evidence.cut if evidence else (),
    }
    return {kind: list(ids) for kind, ids in lost.items() if ids}


class _Form:
    """A form filled in for one passage: what stands before the text, the text, what stands after it."""

    def __init__(self, form: str, rank: int, passage: Passage) -> None:
        fields = {"rank": str(rank), "title": passage_title(passage)}
        before, _, after = form.partition("{text}")
        self._before, self._after = (re.sub(r"\{(rank|title)\}", lambda found: fields[found[1]], part) for part in (before, after))
        self._text = passage.text

    def tokens(self, encode: Encode) -> list[int]:
        return encode(self._before + self._text + self._after)

    def cut(self, encode: Encode, limit: int) -> list[int] | None:
        """The tokens without the end of the text; None where too little of it would be left."""
        ending = encode(self._after) if self._after else []
        end = limit - len(ending)
        if end < len(encode(self._before)) + _FEWEST:
            return None
        return encode(self._before + self._text)[:end] + ending
