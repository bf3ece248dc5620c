"""What one sees on opening a turn: the conversation so far, what each system retrieved and answered, what was gold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from convbench.comparison.task import Task
from convbench.types import Exchange, Passage, Turn, TurnRecord

TOP = 5
"""Passages of a ranking that are shown; of gold ones further down the rank is."""

TURNS_A_PAGE = 64
"""About so many turns are kept together; a conversation is never cut in two, its turns share passages."""


def paged(turns: Sequence[Turn]) -> list[list[Turn]]:
    """The turns in pages of whole conversations."""
    pages: list[list[Turn]] = []
    for place, turn in enumerate(turns):
        begins = place == 0 or turns[place - 1].conversation_id != turn.conversation_id
        if not pages or (begins and len(pages[-1]) >= TURNS_A_PAGE):
            pages.append([])
        pages[-1].append(turn)
    return pages


def page_details(task: Task, turns: Sequence[Turn]) -> dict[str, Any]:
    """The details of some turns, uncut; every passage and every earlier exchange stands in it once.

    Args:
        task: The task.
        turns: The turns.

    Returns:
        ``passages``: id -> title and text; ``exchanges``: turn id -> query and response; ``turns``: turn id -> its details.
    """
    details = {turn.id: _turn(task, turn) for turn in turns}
    shown = [ranked[0] for detail in details.values() for system in detail["systems"] if system for ranked in system["top"]]
    gold = [id_ for turn in turns for id_ in turn.gold]
    exchanges = {exchange.turn_id: _exchange(exchange) for turn in turns for exchange in turn.history}
    return {
        "passages": {passage.id: [passage.title, passage.text] for passage in _passages(task, [*shown, *gold])},
        "exchanges": exchanges,
        "turns": details,
    }


def page_responses(task: Task, turns: Sequence[Turn]) -> dict[str, list[str | None]]:
    """Turn id -> the response of each entrant, None where it has none. Kept apart from the details, because all of them are searched."""
    return {turn.id: [record.response if (record := entrant.records.get(turn.id)) else None for entrant in task.entrants] for turn in turns}


def _turn(task: Task, turn: Turn) -> dict[str, Any]:
    return {
        "rewrite": turn.rewrite,
        "topic": turn.topic,
        "history": [exchange.turn_id for exchange in turn.history],
        "references": [[reference.kind, reference.text] for reference in turn.references if reference.text],
        "gold": dict(turn.gold),
        "systems": [_system(turn, entrant.records.get(turn.id)) for entrant in task.entrants],
    }


def _system(turn: Turn, record: TurnRecord | None) -> dict[str, Any] | None:
    """What one entrant did; None where its run lacks the turn."""
    if record is None:
        return None
    ranks = {id_: rank for rank, (id_, _) in enumerate(record.passages, start=1) if id_ in turn.gold}
    top = record.passages[:TOP]
    truncated = record.ledger.get("truncated")
    return {
        "query": record.query,
        "top": [[id_, float(f"{score:.6g}")] for id_, score in top],
        "depth": len(record.passages),
        "gold": ranks,
        "given": [id_ for id_, _ in top if id_ in record.evidence],
        "evidence": len(record.evidence),
        "abstained": record.abstained,
        "truncated": sorted(map(str, truncated)) if isinstance(truncated, dict) else [],
    }


def _exchange(exchange: Exchange) -> list[str | None]:
    return [exchange.query, exchange.response]


def _passages(task: Task, ids: Iterable[str]) -> list[Passage]:
    """The passages that are at hand."""
    wanted, store = list(dict.fromkeys(ids)), task.store
    if store is None or not wanted:
        return []
    return store.get([id_ for id_, row in zip(wanted, store.rows(wanted), strict=True) if row >= 0])
