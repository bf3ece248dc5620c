"""Evidence views: which passages the responder sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from convbench.datasets.store import PassageStore
from convbench.errors import UsageError
from convbench.io.digests import value_sha256
from convbench.registry import did_you_mean
from convbench.types import Passage, Turn

EvidenceName = Literal["none", "retrieved", "gold", "gold+noise", "retrieved-minus-gold", "other-turn"]

EVIDENCE_LADDER: tuple[EvidenceName, ...] = ("none", "other-turn", "retrieved-minus-gold", "retrieved", "gold+noise", "gold")
"""All of them, from nothing to gold: the order in which a ladder is run and shown."""

_NAMES: tuple[str, ...] = get_args(EvidenceName)
_SHOW_GOLD = ("gold", "gold+noise", "other-turn")


class EvidenceError(UsageError):
    """A dataset, or its collection, lacks the passages that an evidence view would show."""


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """What the responder sees for one turn.

    Attributes:
        name: The condition.
        kept: Ids of the passages, in the order in which they are shown.
        dropped: Gold passages of the turn that are not among them.
    """

    name: EvidenceName
    kept: tuple[str, ...]
    dropped: tuple[str, ...]


def check_evidence_view(name: str) -> EvidenceName:
    """Returns ``name`` if it names an evidence view, else raises ``UsageError``."""
    if name not in _NAMES:
        raise UsageError(f"unknown evidence view {name!r}.{did_you_mean(name, _NAMES)} Known: {', '.join(_NAMES)}")
    return cast(EvidenceName, name)


def gold_ids(turn: Turn) -> tuple[str, ...]:
    """The gold passages of a turn, best grade first."""
    return tuple(sorted(turn.gold, key=lambda id_: (-turn.gold[id_], id_)))


class EvidenceCondition:
    """Chooses what the responder sees, turn by turn.

    - ``none``: no passage.
    - ``retrieved``: the top passages.
    - ``gold``: the gold passages, best grade first.
    - ``gold+noise``: the gold passages, then the best retrieved ones that are not gold. Gold leaves room for one of those where it can:
      it takes at most ``count - 1`` places.
    - ``retrieved-minus-gold``: the top passages without the gold ones.
    - ``other-turn``: the gold passages of a turn of another conversation, which shares no gold passage with this one. Which turn follows
      from the turn's id and the turns of the run.

    Args:
        name: The condition.
        count: At most this many passages.
    """

    def __init__(self, name: EvidenceName, count: int) -> None:
        self.name, self.count = name, count
        self._lent: dict[str, tuple[str, ...]] = {}

    def describe(self) -> dict[str, Any]:
        """The condition and the number of passages."""
        return {"evidence": self.name, "passages": self.count}

    def check(self, turns: Sequence[Turn]) -> None:
        """Looks at all turns of the run; needed once before ``view``.

        Raises:
            EvidenceError: ``other-turn``, and no other conversation has gold passages to lend.
        """
        if self.name == "other-turn":
            lenders = [turn for turn in turns if turn.gold]
            self._lent = {turn.id: gold_ids(_lender(turn, lenders)) for turn in turns}

    def view(self, turn: Turn, retrieved: Sequence[str]) -> EvidenceView:
        """Chooses for one turn.

        Args:
            turn: The turn.
            retrieved: Passage ids in rank order.
        """
        kept = tuple(self._offered(turn, retrieved)[: self.count])
        return EvidenceView(self.name, kept, tuple(id_ for id_ in gold_ids(turn) if id_ not in kept))

    def _offered(self, turn: Turn, retrieved: Sequence[str]) -> Sequence[str]:
        if self.name == "retrieved":
            return retrieved
        if self.name == "gold":
            return gold_ids(turn)
        noise = [id_ for id_ in retrieved if id_ not in turn.gold]
        if self.name == "gold+noise":
            return [*gold_ids(turn)[: max(self.count - 1, 1)], *noise]
        if self.name == "retrieved-minus-gold":
            return noise
        return self._lent[turn.id] if self.name == "other-turn" else ()

    def passages(self, turn: Turn, view: EvidenceView, store: PassageStore) -> tuple[Passage, ...]:
        """The texts of what the responder sees.

        Raises:
            EvidenceError: The collection lacks a gold passage.
        """
        if self.name in _SHOW_GOLD and (absent := [id_ for id_ in view.kept if id_ not in store]):
            raise EvidenceError(
                f"turn {turn.id}: gold passage {absent[0]!r} is not in the collection, and --evidence {self.name} needs its text"
            )
        return tuple(store.get(view.kept))

    def passages_of(self, turns: Sequence[Turn], views: Sequence[EvidenceView], store: PassageStore) -> list[tuple[Passage, ...]]:
        """``passages`` of each of several turns, looked up in one go.

        Raises:
            EvidenceError: The collection lacks a gold passage.
        """
        if self.name in _SHOW_GOLD:
            return [self.passages(turn, view, store) for turn, view in zip(turns, views, strict=True)]
        ids = list(dict.fromkeys(id_ for view in views for id_ in view.kept))
        found = dict(zip(ids, store.get(ids), strict=True))
        return [tuple(found[id_] for id_ in view.kept) for view in views]


def _lender(turn: Turn, lenders: Sequence[Turn]) -> Turn:
    """The first turn that will do, from a place among the lenders that the turn's id decides."""
    start = int(value_sha256(turn.id), 16)
    for step in range(len(lenders)):
        lender = lenders[(start + step) % len(lenders)]
        if lender.conversation_id != turn.conversation_id and not lender.gold.keys() & turn.gold.keys():
            return lender
    raise EvidenceError(
        f"turn {turn.id}: no other conversation of this run has gold passages, apart from the turn's own, "
        "which --evidence other-turn needs: run more conversations, or take another evidence view"
    )
