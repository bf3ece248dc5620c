"""The data of the turn browser, packed, with texts cut so that the page stays small enough to open and to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convbench.comparison.model import Comparison
from convbench.report.comparison.packed import packed
from convbench.report.comparison.turn_details import page_details, page_responses, paged
from convbench.report.comparison.turn_index import turn_index

BUDGET = 12_000_000
"""Characters that packed turns may take of a page, which stays under 15 MB with its tables, pictures and scripts."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Where texts are cut, in characters.

    Attributes:
        passage: Passages, and queries that systems sent to their retrievers.
        response: Responses, references and earlier exchanges.
    """

    passage: int
    response: int


LENGTHS = (Lengths(1200, 8000), Lengths(600, 4000), Lengths(300, 4000), Lengths(120, 2000), Lengths(60, 1000), Lengths(0, 500))
"""Tried in this order until the turns fit; the last is taken in any case."""


@dataclass(frozen=True, slots=True)
class TaskTurns:
    """The turns of one task, packed.

    Attributes:
        id: The task's id.
        title: Its title.
        index: What turns are listed, filtered and sorted by.
        responses: Every response.
        pages: The details of turns, some conversations together.
    """

    id: str
    title: str
    index: str
    responses: str
    pages: tuple[str, ...]

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.index) + len(self.responses) + sum(map(len, self.pages))


def packed_turns(comparison: Comparison, budget: int = BUDGET) -> tuple[tuple[TaskTurns, ...], Lengths | None]:
    """The turns of every task.

    Args:
        comparison: The comparison.
        budget: How many characters they may take together.

    Returns:
        The turns, and where texts were cut; None where no text was.
    """
    uncut = [_uncut(comparison, place) for place in range(len(comparison.tasks))]
    for lengths in LENGTHS:
        cutter = _Cutter(lengths)
        tasks = tuple(cutter.task(task) for task in uncut)
        if sum(task.size for task in tasks) <= budget:
            break
    return tasks, lengths if cutter.cut_any else None


@dataclass(frozen=True, slots=True)
class _Uncut:
    """The turns of one task before they are cut and packed."""

    id: str
    title: str
    index: Mapping[str, Any]
    responses: Mapping[str, Sequence[str | None]]
    pages: Sequence[Mapping[str, Any]]


def _uncut(comparison: Comparison, place: int) -> _Uncut:
    compared = comparison.tasks[place]
    task = compared.task
    pages = paged(task.turns)
    numbers = [number for number, turns in enumerate(pages) for _ in turns]
    return _Uncut(
        task.id,
        task.title,
        turn_index(compared, comparison.settings, numbers),
        page_responses(task, task.turns),
        [page_details(task, turns) for turns in pages],
    )


class _Cutter:
    """Cuts texts and remembers whether it had to."""

    def __init__(self, lengths: Lengths) -> None:
        self._lengths, self.cut_any = lengths, False

    def task(self, task: _Uncut) -> TaskTurns:
        responses = {id_: [self._response(text) for text in texts] for id_, texts in task.responses.items()}
        pages = tuple(packed(self._page(page)) for page in task.pages)
        return TaskTurns(task.id, task.title, packed(task.index), packed(responses), pages)

    def _page(self, page: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "passages": {id_: [title, self._passage(text)] for id_, (title, text) in page["passages"].items()},
            "exchanges": {id_: [self._response(text) for text in texts] for id_, texts in page["exchanges"].items()},
            "turns": {id_: self._turn(turn) for id_, turn in page["turns"].items()},
        }

    def _turn(self, turn: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **turn,
            "references": [[kind, self._response(text)] for kind, text in turn["references"]],
            "systems": [system and {**system, "query": self._passage(system["query"])} for system in turn["systems"]],
        }

    def _passage(self, text: str) -> str:
        return self._shortened(text, self._lengths.passage)

    def _response(self, text: str | None) -> str | None:
        return text if text is None else self._shortened(text, self._lengths.response)

    def _shortened(self, text: str, length: int) -> str:
        if len(text) <= length:
            return text
        self.cut_any = True
        return f"{text[:length].rstrip()} …" if length else "…"
