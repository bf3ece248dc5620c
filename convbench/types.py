"""The types that flow through convbench.

All are frozen and slotted; every id is a ``str``; everything is joined by id, never by position.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

ReferenceKind = Literal["response", "additional", "knowledge"]

Grades: TypeAlias = Mapping[str, int]
"""Passage id -> relevance grade, of one turn."""

HIGHEST_GRADE = 10_000
"""The highest relevance grade: trec_eval's time for nDCG grows with the square of it, and its tables with its size."""

Qrels: TypeAlias = Mapping[str, Grades]
"""Turn id -> grades."""

Labels: TypeAlias = Mapping[str, str]
"""Label name -> value; several values of one label are joined by ``|``."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A unit of the collection. ``title`` is empty where the corpus has none."""

    id: str
    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A text that a response is compared with.

    Attributes:
        text: The text.
        kind: What it is.
        evidence: Ids of the passages that the text rests on, where the dataset says so for each reference (INSCIT).
    """

    text: str
    kind: ReferenceKind = "response"
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One earlier turn as history shows it.

    Attributes:
        turn_id: The earlier turn's id, so that a system's own response can be put in place of ``response``.
        query: What the user said ("" where the system opened the conversation).
        response: What the dataset's system said, or None where the dataset records no responses (CAsT 2019) or an empty one.
        rewrite: The human rewrite of ``query``, where there is one.
    """

    turn_id: str
    query: str
    response: str | None = None
    rewrite: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One user turn with everything the dataset knows of it.

    Attributes:
        id: ``<conversation>_<n>``, n from 1, no white space.
        query: The user's words.
        history: The earlier turns, oldest first.
        references: Every reference text, in the dataset's order; the first of kind ``response`` is the main one.
        gold: Gold passages with grades (> 0). Empty where the turn has no relevance judgement.
        rewrite: The human rewrite, or None.
        topic: The topic (an article title, usually), or None.
        labels: Everything else a slice may use: ``answerable`` (yes/no), ``response_type``, ``source``, ``begin``, ``vrm`` ...
    """

    id: str
    query: str
    history: tuple[Exchange, ...] = ()
    references: tuple[Reference, ...] = ()
    gold: Grades = field(default_factory=dict)
    rewrite: str | None = None
    topic: str | None = None
    labels: Labels = field(default_factory=dict)

    @property
    def conversation_id(self) -> str:
        """The id without its turn number (split from the right)."""
        return conversation_of(self.id)

    @property
    def number(self) -> int:
        """The turn's number in its conversation, from 1."""
        return int(self.id.rpartition("_")[2])


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one conversation, in order."""

    id: str
    dataset: str
    split: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class TurnSet:
    """The ordered turn ids that an average is over, and the rule that chose them."""

    ids: tuple[str, ...]
    rule: str

    @property
    def sha256(self) -> str:
        """Digest of the ids in order (UTF-8, one a line)."""
        return hashlib.sha256("".join(f"{id_}\n" for id_ in self.ids).encode()).hexdigest()

    @classmethod
    def of(cls, turns: Iterable[Turn], rule: str) -> TurnSet:
        """The turn set of ``turns``, in their order."""
        return cls(tuple(turn.id for turn in turns), rule)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passages retrieved for one turn, in canonical order (see ``convbench.retrieval.canonical``)."""

    turn_id: str
    passages: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Response:
    """What a system answered.

    Attributes:
        turn_id: The turn.
        text: The response.
        finish_reason: Why it ends where it ends.
        evidence: Ids of the passages the responder saw.
        tokens_in: Tokens that it was made from; None where the generator has no tokens.
        tokens_out: Its tokens; None likewise.
        abstained: True where the system declined to answer.
        dropped: Ids of the passages that had no room.
    """

    turn_id: str
    text: str
    finish_reason: str = "stop"
    evidence: tuple[str, ...] = ()
    tokens_in: int | None = None
    tokens_out: int | None = None
    abstained: bool = False
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One line of the joint run file.

    Attributes:
        turn_id: The turn.
        query: The text that was sent to the retriever.
        passages: (passage id, score) in canonical order.
        response: The response, or None where the system only retrieves.
        evidence: Ids of the passages the responder saw.
        abstained: True where the system declined to answer.
        usage: Counts such as ``tokens_in``.
        ledger: What views kept and dropped; ``truncated`` names what did not fit (empty where everything did).
    """

    turn_id: str
    query: str = ""
    passages: tuple[tuple[str, float], ...] = ()
    response: str | None = None
    evidence: tuple[str, ...] = ()
    abstained: bool = False
    usage: Mapping[str, int] = field(default_factory=dict)
    ledger: Mapping[str, object] = field(default_factory=dict)

    def rank_of(self, ids: Container[str]) -> int | None:
        """Rank of the first passage that is among some, from 1; None where none is."""
        return next((rank for rank, (id_, _) in enumerate(self.passages, start=1) if id_ in ids), None)


@dataclass(frozen=True, slots=True)
class Run:
    """A joint run: header (system, config digest, provenance, turn set, conditions) and records by turn id."""

    header: Mapping[str, object]
    records: Mapping[str, TurnRecord]


@dataclass(frozen=True, slots=True)
class Score:
    """One turn's value under one measure; ``value`` is None where ``reason`` says why it was not computed.

    Attributes:
        turn_id: The turn.
        measure: The measure's name, unique within a protocol.
        value: The value.
        reason: What there is to say of it.
        protocol: The protocol that it was scored under; filled in by the harness.
    """

    turn_id: str
    measure: str
    value: float | None
    reason: str | None = None
    protocol: str = ""


def conversation_of(turn_id: str) -> str:
    """The conversation part of a turn id."""
    return turn_id.rpartition("_")[0]


def qrels_of(turns: Sequence[Turn]) -> dict[str, dict[str, int]]:
    """The judgements of ``turns`` (turns without gold passages are left out)."""
    return {turn.id: dict(turn.gold) for turn in turns if turn.gold}
