"""The data of the turn browser, packed, with texts cut so that the page stays small enough to open and to send."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from convbench.comparison.model import Comparison
from convbench.report.comparison.packed import packed
from convbench.report.comparison.turn_details import page_details, page_responses, paged
from convbench.report.comparison.turn_index import turn_index

_AROUND = 100
"""More characters than the element around a block has, the task's id apart."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Where texts are cut, in characters.

    Attributes:
        passage: Passages, and queries that systems sent to their retrievers.
        response: Responses, references and earlier exchanges.
    """

    passage: int
    response: int


LENGTHS = (
    *(Lengths(1200, 8000), Lengths(800, 6000), Lengths(500, 4000), Lengths(300, 4000), Lengths(200, 3000)),
    *(Lengths(150, 2000), Lengths(100, 2000), Lengths(60, 1000), Lengths(0, 500)),
)
"""The first that makes the turns fit is taken; the last where none does."""


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
        """Characters, with those of the elements around them."""
        return sum(len(text) + _AROUND + len(self.id) for text in (self.index, self.responses, *self.pages)) + len(self.title)


def packed_turns(comparison: Comparison, budget: int) -> tuple[tuple[TaskTurns, ...], Lengths | None]:
    """The turns of every task.

    Args:
        comparison: The comparison.
        budget: How many characters they may take together.

    Returns:
        The turns, and where texts were cut; None where no text was.
    """
    uncut = [_uncut(comparison, place) for place in range(len(comparison.tasks))]

    @cache
    def cut(lengths: Lengths) -> tuple[tuple[TaskTurns, ...], bool]:
        cutter = _Cutter(lengths)
        return tuple(cutter.task(task) for task in uncut), cutter.cut_any

    place = bisect_left(LENGTHS, True, key=lambda lengths: sum(task.size for task in cut(lengths)[0]) <= budget)
    lengths = LENGTHS[min(place, len(LENGTHS) - 1)]
    tasks, cut_any = cut(lengths)
    return tasks, lengths if cut_any else None


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
