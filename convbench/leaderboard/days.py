"""The day of a submission, which must have come."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

from convbench.leaderboard.card import FILE, Card
from convbench.leaderboard.safe_read import refused
from convbench.leaderboard.verified import Finding

_ELSEWHERE = timedelta(days=1)
"""East of here it may be tomorrow."""


def today() -> date:
    """The day, by universal time."""
    return datetime.now(timezone.utc).date()


def ahead(card: Card | None, now: date) -> Finding | None:
    """The finding that a card's day lies ahead.

    It is no part of what is remembered of a submission, as it passes.

    Args:
        card: The card; None where it cannot be read.
        now: Today.
    """
    if card is None or date.fromisoformat(card.submitted) <= now + _ELSEWHERE:
        return None
    return refused(
        "submitted-ahead", f"{FILE}: submitted: {card.submitted} lies ahead of today, {now}: give the day on which it is sent in"
    )
