"""The standings as a table of the site: groups of columns, cells with what they are sorted by, rows with what they are filtered by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from convbench.leaderboard.board import TrackBoard
from convbench.leaderboard.card import Card
from convbench.leaderboard.slicings import slice_value, slicings_of
from convbench.leaderboard.standings import Row, Standings
from convbench.leaderboard.verified import MeasuredScore
from convbench.leaderboard.wording import OVERLAP, conditions_of, interval_text, role_of, value_text
from convbench.report.numbers import per_cent
from convbench.report.words import ABSENT, counted, magnitude

SIZES = (("none", "No parameters"), ("small", "Up to 100 M"), ("medium", "100 M to 1 B"), ("large", "1 B to 10 B"), ("huge", "Over 10 B"))
"""Classes of sizes, by which rows are filtered; a row of unknown size has another class."""

_BOUNDS = (0, 100e6, 1e9, 10e9)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell.

    Attributes:
        text: What it says.
        order: What it is sorted by: a number, or a text; None comes last.
        below: A second line.
        strong: Whether it is in bold.
        hint: What its text means, where that is no number.
    """

    text: str
    order: float | str | None = None
    below: str = ""
    strong: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Whisker:
    """An interval drawn in a cell, from 0 to 100 along it."""

    low: float
    high: float
    at: float


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        label: Its heading.
        below: A second line of the heading.
        kind: Whether it holds numbers or texts.
        descending: Whether a first sort puts large values first.
    """

    label: str
    below: str = ""
    kind: Literal["number", "text"] = "number"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that are shown and hidden together."""

    id: Literal["scores", "system", "cost", "slices"]
    title: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A row.

    Attributes:
        row: The submission's row in the standings.
        href: Of its page, from the root of the site.
        role: Why it does not compete.
        conditions: What it saw.
        flags: What verifying found remarkable.
        size: Its class of size.
        whisker: The interval of the ranking measure; None for ceiling and floor.
        cells: For each group its cells.
    """

    row: Row
    href: str
    role: str
    conditions: tuple[str, ...]
    flags: int
    size: str
    whisker: Whisker | None
    cells: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class TableView:
    """A table: groups of columns, and rows section by section."""

    groups: tuple[Group, ...]
    lines: tuple[Line, ...]

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Id and name of the groups that a reader may hide; slices of several slicings go together."""
        return list(dict.fromkeys((group.id, group.id.capitalize()) for group in self.groups if group.id != "scores"))


_Costs = dict[str, tuple[Callable[[Card], float | None], Callable[[float], str]]]

_COSTS: _Costs = {
    "ms per turn": (lambda card: card.cost.ms_per_turn, lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.1f}"),
    "Tokens in": (lambda card: card.cost.tokens_in, lambda value: f"{value:,.0f}"),
    "Tokens out": (lambda card: card.cost.tokens_out, lambda value: f"{value:,.0f}"),
    "Index, MB": (lambda card: card.cost.index_bytes, lambda value: f"{value / 1e6:,.1f}"),
    "Price": (lambda card: card.cost.price, lambda value: f"{value:,.2f}"),
}


def table_of(board: TrackBoard, standings: Standings) -> TableView:
    """The table of one side of a track."""
    costs = {label: cost for label, cost in _COSTS.items() if any(cost[0](row.entry.card) is not None for row in standings.rows)}
    slicings = slicings_of(board.track, standings)
    by = standings.ranked.by
    makers: list[tuple[Group, Callable[[Row], tuple[Cell, ...]]]] = [
        (Group("scores", "Scores, per cent", tuple(_score_columns(standings))), lambda row: tuple(_score_cells(standings, row))),
        (Group("system", "System", _SYSTEM), _system_cells),
    ]
    if costs:
        columns = tuple(Column(label, descending=False) for label in costs)
        makers.append((Group("cost", "Cost", columns), lambda row: tuple(_cost_cells(costs, row))))
    for each in slicings:

        def cells(row: Row, slicing: str = each.name, labels: Sequence[str] = each.labels) -> tuple[Cell, ...]:
            return tuple(_slice_cell(row, by, slicing, label) for label in labels)

        columns = tuple(Column(label, _turns(standings, each.name, label), descending=standings.higher_is_better) for label in each.labels)
        makers.append((Group("slices", f"{by} by {each.title[:1].lower()}{each.title[1:]}", columns), cells))
    scale = _scale(standings)
    lines = tuple(_line(board, row, scale, by, tuple(make(row) for _, make in makers)) for row in standings.rows)
    return TableView(tuple(group for group, _ in makers), lines)


def size_of(card: Card) -> str:
    """The class of a system's size."""
    if card.parameters is None:
        return "unknown"
    return SIZES[sum(card.parameters > bound for bound in _BOUNDS)][0]


_SYSTEM = (
    Column("Parameters", descending=False),
    Column("Trained on test", kind="text", descending=False),
    Column("Level", kind="text", descending=False),
    Column("Submitted", kind="text"),
)


def _line(board: TrackBoard, row: Row, scale: tuple[float, float], by: str, cells: tuple[tuple[Cell, ...], ...]) -> Line:
    entry = row.entry
    return Line(
        row=row,
        href=f"submission/{board.track.name}/{entry.id}.html",
        role=role_of(row),
        conditions=tuple(conditions_of(entry.card)),
        flags=sum(finding.severity == "flag" for finding in entry.verified.findings),
        size=size_of(entry.card),
        whisker=None if row.section == "reference" else _whisker(row.scores.get(by), scale),
        cells=cells,
    )


def _score_columns(standings: Standings) -> Iterator[Column]:
    for measure in standings.ranked.measures:
        higher = all(row.scores[measure].higher_is_better for row in standings.rows if measure in row.scores)
        yield Column(measure, "" if higher else "lower is better", descending=higher)


def _score_cells(standings: Standings, row: Row) -> Iterator[Cell]:
    for measure in standings.ranked.measures:
        score = row.scores.get(measure)
        strong = measure == standings.ranked.by and row.leads
        hint = "" if score is None or score.value is not None else f"no value: {score.reason or 'no reason was kept'}"
        yield Cell(value_text(score), score.value if score else None, interval_text(score), strong, hint)


def _system_cells(row: Row) -> tuple[Cell, ...]:
    card, verified = row.entry.card, row.entry.verified
    return (
        Cell("unknown" if card.parameters is None else magnitude(card.parameters), card.parameters),
        Cell(OVERLAP[verified.contaminated], OVERLAP[verified.contaminated]),
        Cell(row.entry.level, row.entry.level),
        Cell(card.submitted, card.submitted),
    )


def _cost_cells(costs: _Costs, row: Row) -> Iterator[Cell]:
    for value_of, shown in costs.values():
        value = value_of(row.entry.card)
        yield Cell(ABSENT if value is None else shown(value), value)


def _slice_cell(row: Row, by: str, slicing: str, label: str) -> Cell:
    found = slice_value(row, by, slicing, label)
    return Cell(ABSENT) if found is None else Cell(per_cent(found[0]), found[0])


def _turns(standings: Standings, slicing: str, label: str) -> str:
    """The turns of a slice, where all rows have the same."""
    pairs = [slice_value(row, standings.ranked.by, slicing, label) for row in standings.rows]
    turns = {pair[1] for pair in pairs if pair is not None}
    return counted(turns.pop(), "turn") if len(turns) == 1 else ""


def _scale(standings: Standings) -> tuple[float, float]:
    """The range that intervals of a table are drawn in; ceiling and floor would squeeze it."""
    scores = [row.scores[standings.ranked.by] for row in standings.rows if row.section != "reference"]
    ends = [end for score in scores if score.value is not None for end in (score.value, *(score.interval or ()))]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.01, high + 0.01)


def _whisker(score: MeasuredScore | None, scale: tuple[float, float]) -> Whisker | None:
    if score is None or score.value is None:
        return None
    low, high = score.interval or (score.value, score.value)
    return Whisker(*(round(4 + 92 * (end - scale[0]) / (scale[1] - scale[0]), 1) for end in (low, high, score.value)))
