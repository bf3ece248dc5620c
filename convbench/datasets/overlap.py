"""What two splits or datasets have in common: questions, responses, gold passages, topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from convbench.datasets.audit import gold_of, known_passages
from convbench.datasets.hash_sort import hash_texts
from convbench.datasets.plain_words import plain_words
from convbench.datasets.store import PassageStore
from convbench.types import Conversation, Qrels

SHORTEST_QUERY = 4
"""Questions of fewer words ("who is he?") are alike by chance and are not compared."""

Units: TypeAlias = Mapping[str, Mapping[str, str]]
"""Kind of unit -> what is compared -> the id of a turn or passage that has it."""

KINDS = ("first questions", "questions", "rewrites", "questions with response", "gold ids", "gold texts", "topics")

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class ComparedSet:
    """One side of a comparison: a label for it, and its units."""

    label: str
    units: Units


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two sets have in common of one kind of unit.

    Attributes:
        first: Label of one set.
        second: Label of the other.
        kind: What is compared.
        common: How many different units both have.
        first_count: How many different units the first has.
        second_count: How many the second has.
        examples: ``id = id`` of some that both have.
    """

    first: str
    second: str
    kind: str
    common: int
    first_count: int
    second_count: int
    examples: tuple[str, ...]

    @property
    def first_share(self) -> float:
        """The share of the first set's units that the second has too."""
        return self.common / self.first_count

    @property
    def second_share(self) -> float:
        """The share of the second set's units that the first has too."""
        return self.common / self.second_count


def units_of(conversations: Sequence[Conversation], qrels: Qrels, store: PassageStore | None) -> Units:
    """The units of a split, by kind. Texts are compared without case, punctuation and blanks.

    - ``first questions``: what each conversation begins with, as its first turn's history shows where that is not its first.
    - ``questions`` and ``rewrites``: of at least ``SHORTEST_QUERY`` words.
    - ``questions with response``: question and main response together, both not empty.
    - ``gold ids``: mean the same only where two sets search one collection.
    - ``gold texts``: by digest, as far as the collection has them.
    - ``topics``: as the dataset names them.

    Args:
        conversations: The conversations.
        qrels: The judgements.
        store: The collection, or None where it is not at hand.
    """
    units: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for conversation in conversations:
        _add(units, "first questions", _first_question(conversation), conversation.id)
        for turn in conversation.turns:
            question, rewrite = plain_words(turn.query), plain_words(turn.rewrite or "")
            response = next((plain_words(r.text) for r in turn.references if r.kind == "response"), "")
            _add(units, "questions", _long(question), turn.id)
            _add(units, "rewrites", _long(rewrite), turn.id)
            _add(units, "questions with response", f"{question}\n{response}" if question and response else "", turn.id)
            _add(units, "topics", plain_words(turn.topic or ""), turn.id)
    gold = gold_of(qrels)
    units["gold ids"] = {passage: passage for passages in gold.values() for passage in sorted(passages)}
    if store is not None:
        passages = [passage for passage in known_passages(gold, store).values() if passage.text.strip()]
        digests = hash_texts(plain_words(passage.text) for passage in passages).tolist()
        units["gold texts"] = {f"{digest:016x}": passage.id for digest, passage in zip(digests, passages, strict=True)}
    return units


def overlaps(sets: Sequence[ComparedSet]) -> Iterator[Overlap]:
    """Every pair of sets, kind by kind; kinds that one of the two has no units of are left out."""
    for first, second in combinations(sets, 2):
        for kind in KINDS:
            ours, theirs = first.units[kind], second.units[kind]
            if ours and theirs:
                common = [unit for unit in ours if unit in theirs]
                examples = tuple(f"{ours[unit]} = {theirs[unit]}" for unit in common[:_EXAMPLES])
                yield Overlap(first.label, second.label, kind, len(common), len(ours), len(theirs), examples)


def _add(units: dict[str, dict[str, str]], kind: str, unit: str, id_: str) -> None:
    if unit:
        units[kind].setdefault(unit, id_)


def _first_question(conversation: Conversation) -> str:
    first = conversation.turns[0]
    asked = (*(exchange.query for exchange in first.history), first.query)
    return next((words for text in asked if (words := plain_words(text))), "")


def _long(words: str) -> str:
    return words if words.count(" ") >= SHORTEST_QUERY - 1 else ""
