"""What tells systems apart in every picture of a task: colour, mark, line and hatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from convbench.comparison.task import Role, Task
from convbench.report.figures.themes import Theme
from convbench.report.figures.wording import names_of

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

Dashes: TypeAlias = str | tuple[int, tuple[float, ...]]

_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
_REFERENCES: dict[Role, tuple[str, Dashes]] = {
    "ceiling": ("+", (0, (1, 1))),
    "floor": ("x", (0, (1, 3))),
    "condition": ("1", (0, (4, 3))),
    "shortcut": ("2", (0, (2, 2))),
}
_LINES: tuple[Dashes, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (9, 2)))


@dataclass(frozen=True, slots=True)
class Series:
    """How one entrant looks.

    Attributes:
        label: The entrant.
        name: What pictures call it.
        role: Its role; those that do not compete are drawn in ink.
        place: Its number among those of its kind.
    """

    label: str
    name: str
    role: Role
    place: int

    def colour(self, theme: Theme) -> str:
        """Its colour."""
        return theme.ink if self.role else theme.series[self.place % len(theme.series)]

    @property
    def mark(self) -> str:
        """Its marker, as matplotlib calls it."""
        return _REFERENCES[self.role][0] if self.role else _MARKS[self.place % len(_MARKS)]

    @property
    def line(self) -> Dashes:
        """Its line style."""
        return _REFERENCES[self.role][1] if self.role else _LINES[self.place % len(_LINES)]

    def handle(self, theme: Theme, line: Dashes = "none") -> Line2D:
        """What stands for it in a legend: its mark, on a line if one is given."""
        from matplotlib.lines import Line2D

        return Line2D([], [], color=self.colour(theme), marker=self.mark, linestyle=line)  # type: ignore[arg-type]


def series_of(task: Task) -> Mapping[str, Series]:
    """Label -> looks, the same in all pictures of a task."""
    names = names_of(entrant.label for entrant in task.entrants)
    looks: dict[str, Series] = {}
    for entrant in task.entrants:
        place = sum(other.role == entrant.role for other in looks.values())
        suffix = f" ({entrant.role})" if entrant.is_reference else ""
        looks[entrant.label] = Series(entrant.label, names[entrant.label] + suffix, entrant.role, place)
    return looks
