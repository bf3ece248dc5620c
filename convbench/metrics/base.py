"""What a metric is: a family of measures computed together, turn by turn, over a declared turn set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from convbench.types import Score, Turn, TurnRecord

Side = Literal["ranking", "response"]

MISSING = "missing from the run"
"""Reason given with the 0 that a turn absent from the run scores."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of a result.

    Attributes:
        name: The field's name for it (``nDCG@3``, ``rougeL``, ``F1-max``).
        signature: Everything that changes its value, sacreBLEU style: ``name|key:value|...``. The harness adds the turn set.
        higher_is_better: False for error-like measures.
    """

    name: str
    signature: str
    higher_is_better: bool = True


def signature(name: str, **parts: object) -> str:
    """``name|key:value|...`` in the order given (``_`` in a key becomes ``-``)."""
    return "|".join([name, *(f"{key.replace('_', '-')}:{value}" for key, value in parts.items())])


@runtime_checkable
class Metric(Protocol):
    """A family of measures.

    Attributes:
        name: The family's name in the registry.
        version: Raised when the same inputs get other values.
        needs: Which side of a record is scored.
        batch_size: Turns scored together (and the unit of resuming).
    """

    name: str
    version: int
    needs: Side
    batch_size: int

    def measures(self) -> Sequence[Measure]:
        """The measures, in report order."""

    def check_resources(self) -> None:
        """Makes sure that everything needed is there, before any inference.

        Raises:
            ResourceError: With what is missing and how to get it.
        """

    def score(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> list[Score]:
        """Scores ``turns``: one ``Score`` for each (turn, measure), turns in order.

        A turn without a record, or whose record lacks the side that is needed, scores 0 with the reason ``MISSING``.
        """


@runtime_checkable
class GradedMetric(Protocol):
    """A metric that needs to know from which grade on a passage is relevant; a dataset's card says so."""

    def from_grade(self, grade: int) -> Metric:
        """The same metric counting from another grade."""


def response_references(turn: Turn) -> list[str]:
    """The texts a response is compared with: kinds ``response`` and ``additional``, in order."""
    return [reference.text for reference in turn.references if reference.kind in ("response", "additional")]
