"""History views: which earlier turns a component sees."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from convbench.errors import UsageError
from convbench.registry import did_you_mean
from convbench.types import Exchange, Turn
from convbench.views.session import Utterance

OWN = "full-own"
"""The view whose responses are the system's own; ``systems.turn_order`` puts them in place of the dataset's."""

REWRITE = "rewrite"
"""What the command line calls the human rewrite alone: the view ``query`` of a rewritten question."""

VIEW_NAMES = ("query", "queries", "full", OWN, "last-<n>")
_LAST = re.compile(r"last-([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class HistoryView:
    """What was kept of a turn's history.

    Attributes:
        name: The condition (``query``, ``queries``, ``full``, ``full-own``, ``last-3``).
        history: The exchanges that were kept, oldest first, without what the condition hides.
        dropped: Ids of the earlier turns that were not kept.
    """

    name: str
    history: tuple[Exchange, ...]
    dropped: tuple[str, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Ids of the earlier turns that were kept, oldest first."""
        return tuple(exchange.turn_id for exchange in self.history)


def check_history_view(name: str) -> str:
    """Returns ``name`` if it names a history view, else raises ``UsageError``."""
    if name not in ("query", "queries", "full", OWN) and not _LAST.fullmatch(name):
        known = ", ".join([*VIEW_NAMES, REWRITE])
        raise UsageError(f"unknown history view {name!r}.{did_you_mean(name, VIEW_NAMES)} Known: {known}")
    return name


def history_view(name: str, turn: Turn) -> HistoryView:
    """Applies a history condition to a turn.

    ``query`` keeps nothing, ``queries`` the users' side of every earlier turn, ``full`` and ``full-own`` all of it, ``last-n`` the latest n
    exchanges.
    """
    check_history_view(name)
    history = turn.history
    last = _LAST.fullmatch(name)
    keep = int(last[1]) if last else 0 if name == "query" else len(history)
    kept = history[max(len(history) - keep, 0) :]
    dropped = tuple(exchange.turn_id for exchange in history[: len(history) - len(kept)])
    if name == "queries":
        kept = tuple(replace(exchange, response=None) for exchange in kept)
    return HistoryView(name, kept, dropped)


def utterances(view: HistoryView) -> list[Utterance]:
    """The earlier utterances that a view shows, oldest first; empty ones are left out."""
    said = [
        utterance
        for exchange in view.history
        for utterance in (Utterance("user", exchange.query), Utterance("agent", exchange.response or ""))
    ]
    return [utterance for utterance in said if utterance.text]
