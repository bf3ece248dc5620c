"""Self-agreement of a unified model: does it embed closest what makes its response likeliest?

For each turn the first k passages are ordered twice: by their embedding scores, as they were retrieved, and by the model's mean token
log-probability of the response, given the session and that one passage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import numpy as np

from convbench.backends.turn_inputs import Session
from convbench.datasets.store import PassageStore
from convbench.meter import Meter
from convbench.systems.base import Row
from convbench.systems.turn_order import with_own_responses
from convbench.systems.unified import Unified
from convbench.types import Turn, TurnRecord
from convbench.views.history import OWN
from convbench.writing.likelihood import Continuation

VERSION = 1

Pairs = Sequence[tuple[str, float]]

_DIGITS = 6
"""Of log-likelihoods: what is left of differences in the last digits, which say nothing of a passage, must not order them."""


def gold_response(turn: Turn, record: TurnRecord | None) -> str:
    """The main reference of a turn; empty where it has none."""
    return next((reference.text for reference in turn.references if reference.kind == "response"), "")


def own_response(turn: Turn, record: TurnRecord | None) -> str:
    """What the system answered; empty where it did not."""
    return (record.response if record else None) or ""


class SelfAgreement:
    """Compares the two orders, turn by turn.

    Args:
        unified: The system that made the run, its model loaded.
        store: The passages.
        records: The run.
        k: How many passages of each ranking.
        response_of: The response of a turn.
    """

    def __init__(
        self,
        unified: Unified,
        store: PassageStore,
        records: Mapping[str, TurnRecord],
        k: int,
        response_of: Callable[[Turn, TurnRecord | None], str],
    ) -> None:
        self._unified, self._store, self._records = unified, store, records
        self._k, self._response_of = k, response_of

    def rows(self, turns: Sequence[Turn], meter: Meter) -> list[Row]:
        """A row a turn: ``rank_correlation`` and ``top1``, null where ``reason`` says why; ``passages`` as [id, score, log-likelihood].

        Args:
            turns: Whole conversations, in order.
            meter: Where costs are counted.
        """
        model = self._unified.model
        sessions = [model.inputs.session(self._as_run(turn), self._unified.config.history) for turn in turns]
        conversations = [list(group) for _, group in groupby(sessions, key=lambda session: session.turn.conversation_id)]
        trunks = [trunk for conversation in model.trunks(conversations, meter) for trunk in conversation]
        prepared = [self._prompts(turn, session) for turn, session in zip(turns, sessions, strict=True)]
        asked = [
            Continuation(prompt, response, trunk)
            for (prompts, response, _), trunk in zip(prepared, trunks, strict=True)
            for prompt in prompts
        ]
        values = iter(model.log_likelihoods(asked, meter))
        return [
            _row(turn.id, self._top(turn), [round(next(values), _DIGITS) for _ in prompts], reason)
            for turn, (prompts, _, reason) in zip(turns, prepared, strict=True)
        ]

    def _as_run(self, turn: Turn) -> Turn:
        """The turn with the history that the system saw."""
        if self._unified.config.history != OWN:
            return turn
        return with_own_responses(turn, {turn_id: record.response or "" for turn_id, record in self._records.items()})

    def _top(self, turn: Turn) -> Pairs:
        record = self._records.get(turn.id)
        return record.passages[: self._k] if record else ()

    def _prompts(self, turn: Turn, session: Session) -> tuple[list[tuple[int, ...]], tuple[int, ...], str | None]:
        """A prompt for each passage alone, and the response; no prompt where the reason says why."""
        text = self._response_of(turn, self._records.get(turn.id))
        response = self._unified.model.response_tokens(text)
        top = [passage_id for passage_id, _ in self._top(turn)]
        if not response:
            return [], (), "no response"
        if len(top) < 2:
            return [], (), "fewer than two passages were retrieved"
        made = [self._unified.model.inputs.prompt(session, [passage]) for passage in self._store.get(top)]
        if not all(tail.passages for _, tail in made):
            return [], (), "the session leaves no room for a passage"
        return [tokens for tokens, _ in made], response, None


def _row(turn_id: str, top: Pairs, likelihoods: Sequence[float], reason: str | None) -> Row:
    if reason is None and len(set(likelihoods)) == 1:
        reason = "the response is equally likely whatever the passage"
    passages = [[passage_id, score, value] for (passage_id, score), value in zip(top, likelihoods, strict=True)] if likelihoods else []
    if reason is not None:
        return {"turn_id": turn_id, "rank_correlation": None, "top1": None, "passages": passages, "reason": reason}
    correlation = rank_correlation([score for _, score in top], likelihoods)
    return {"turn_id": turn_id, "rank_correlation": correlation, "top1": likelihoods[0] == max(likelihoods), "passages": passages}


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, ties sharing the mean of theirs.

    Args:
        first: Values, not all equal.
        second: As many, not all equal.
    """
    from scipy.stats import spearmanr

    return round(float(spearmanr(np.asarray(first), np.asarray(second)).statistic), 12)
