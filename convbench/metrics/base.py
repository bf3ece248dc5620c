"""What a metric is: a family of measures computed together, turn by turn, over a declared turn set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from convbench.datasets.store import PassageStore
from convbench.types import Score, Turn, TurnRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Side = Literal["ranking", "response", "evidence"]
"""What is scored: the ranking, the response, or the passages that the response rests on."""
Against = Literal["response", "knowledge"]
"""Which texts of a turn a response is compared with."""

MISSING = "missing from the run"
"""Reason given with the 0 that a turn absent from the run scores."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of a result.

    Attributes:
        name: The field's name for it (``nDCG@3``, ``rougeL``, ``F1-max``).
        signature: Everything that changes its value, sacreBLEU style: ``name|key:value|...``. The harness adds the protocol, the missing
            policy, the turn set and, for rankings, the collection.
        higher_is_better: False for error-like measures.
        ranks: Whether systems may be ordered by it. False for what only describes (a length, a judge's opinion).
        scale: ``unit`` where every value lies in [0, 1], which is then checked; ``any`` otherwise.
    """

    name: str
    signature: str
    higher_is_better: bool = True
    ranks: bool = True
    scale: Literal["unit", "any"] = "unit"


def measure_key(protocol: str, name: str) -> str:
    """``protocol/name``, which names a measure in files and on the command line; the name alone where it stands in no protocol."""
    return f"{protocol}/{name}" if protocol else name


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
class PassageMetric(Protocol):
    """A metric that can read passages' texts.

    Attributes:
        reads_passages: Whether it does with its settings; its values then depend on the collection, and where that is not at hand it is not
            computed.
    """

    reads_passages: bool

    def open_passages(self, passages: PassageStore) -> None:
        """Hands over the passages, once, before the first ``score``."""


@runtime_checkable
class ConversationMetric(Protocol):
    """A metric that scores whole conversations: its batches are counted in them and never cut one."""

    whole_conversations: Literal[True]


@dataclass(frozen=True, slots=True)
class CorpusValue:
    """The value of a measure that is no mean over turns.

    Attributes:
        value: The value over all turns; None where it is undefined.
        statistics: Turns × p counts whose sum over any turns gives the value over those turns, for the interval; None where there are none.
        combine: From the p sums to the value.
    """

    value: float | None
    statistics: NDArray[np.float64] | None = None
    combine: Callable[[NDArray[np.float64]], float] | None = None


@runtime_checkable
class CorpusMetric(Protocol):
    """A metric some of whose measures are computed over all turns at once (BLEU); ``score`` still gives something for each turn."""

    def corpus_values(self, turns: Sequence[Turn], records: Mapping[str, TurnRecord]) -> Mapping[str, CorpusValue]:
        """Measure -> its value over ``turns``; measures that are means are left out."""
