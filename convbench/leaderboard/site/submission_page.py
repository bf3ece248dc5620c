"""What the page of a submission shows: its card in words, and its scores beside what its makers claimed."""

from __future__ import annotations

from typing import Any

from convbench.leaderboard.board import TrackBoard
from convbench.leaderboard.card import Card
from convbench.leaderboard.entries import Scored
from convbench.leaderboard.site.charts import depth_chart
from convbench.leaderboard.slicings import ordered, title_of
from convbench.leaderboard.standings import Row, Standings
from convbench.leaderboard.wording import conditions_of, role_of
from convbench.report.words import magnitude


def known_of(board: TrackBoard, entry: Scored) -> dict[str, Any]:
    """What the template is told of a submission whose scores count."""
    parts = []
    for standings in board.standings:
        row = next((row for row in standings.rows if row.entry is entry), None)
        if row is not None:
            chart = depth_chart(standings, row)
            parts.append({"standings": standings, "row": row, "role": role_of(row), "chart": chart, "slices": _slices(standings, row)})
    return {"scored": entry, "about": about(entry.card), "shown": parts, "claims": entry.card.scores}


def about(card: Card) -> list[tuple[str, str]]:
    """(label, text) of a card; what it does not say is left out."""
    cost = card.cost
    size = "unknown" if card.parameters is None else f"{magnitude(card.parameters)} ({card.parameters:,})"
    facts = [
        ("Kind", card.kind),
        ("Made by", card.authors),
        ("Submitted", card.submitted),
        ("Parameters", size),
        ("Conditions", "; ".join(conditions_of(card))),
        ("Decoding", card.decoding),
        ("Run by", card.tool),
        ("Commit", card.commit),
        ("Baseline", card.baseline),
        ("Time", None if cost.ms_per_turn is None else f"{cost.ms_per_turn:,.1f} ms per turn"),
        ("Tokens in", None if cost.tokens_in is None else f"{cost.tokens_in:,}"),
        ("Tokens out", None if cost.tokens_out is None else f"{cost.tokens_out:,}"),
        ("Index", None if cost.index_bytes is None else f"{cost.index_bytes / 1e6:,.1f} MB"),
        ("Price", None if cost.price is None else f"{cost.price:,.2f}"),
        ("Machine", cost.machine),
        ("Turns digest", card.turnset_sha256),
        ("Collection digest", card.collection_sha256),
    ]
    return [(label, text) for label, text in facts if text]


def _slices(standings: Standings, row: Row) -> list[tuple[str, list[tuple[str, float, int]]]]:
    """Title of a slicing -> label, value and turns of its slices."""
    slices = row.scores[standings.ranked.by].slices
    return [
        (title_of(name), [(label, values[label][0], values[label][1]) for label in ordered(name, list(values))])
        for name, values in slices.items()
    ]
