"""Who competes: reports, comparisons and leaderboards ask here, so that no table ranks what another only shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Shown = Literal["ceiling", "floor", "shortcut"]
"""What a system only shows: what can be had at most, what chance gives, or what judgements that no system sees give."""

SHORTCUT = "shortcut"

NO_COMPETITORS: Mapping[str, Shown] = {"oracle": "ceiling", "random": "floor", SHORTCUT: "shortcut"}
"""Kinds of system that compete with nobody, and what they show."""


def kind_of(system: Mapping[str, Any]) -> str:
    """The kind of a system, from its settings: that of its class, or a shortcut where its retriever reads the gold of earlier turns."""
    retriever = system.get("retriever")
    if isinstance(retriever, Mapping) and retriever.get("type") == "previous-gold":
        return SHORTCUT
    return str(system.get("kind"))


def shown_by(system: Mapping[str, Any]) -> Literal["", "ceiling", "floor", "shortcut"]:
    """What a system only shows, from its settings; empty where it competes."""
    return NO_COMPETITORS.get(kind_of(system), "")
