"""Hard negatives: the best-ranked passages that do not answer a turn, and what earlier turns of its conversation were answered from.

ChatRetriever trains with BM25's; earlier turns' gold passages are our own choice: they are on the topic, and answer another question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from convbench.datasets.plain_words import holds_words, plain_words
from convbench.datasets.store import PassageStore
from convbench.metrics.abstention import MARKERS
from convbench.progress import progress_bar
from convbench.training.data.examples import passage_key
from convbench.training.negatives import Kind, Negative
from convbench.types import Conversation, Passage, Turn, TurnRecord
from convbench.views.passages import passage_text

Exclusion = Literal["gold", "copy", "answer", "repeat"]
"""Why a passage is no negative of a turn: it is gold, has a gold passage's text, holds a reference response, or has a negative's text."""

EXCLUSIONS: tuple[Exclusion, ...] = ("gold", "copy", "answer", "repeat")

_NO_ANSWERS = {plain_words(text) for text in (*MARKERS, "yes", "no")}  # in a passage they are words like others


@dataclass(frozen=True, slots=True)
class MiningRules:
    """Which passages of a ranking become negatives.

    Attributes:
        depth: Ranks that are looked at.
        skip: First ranks that are left out: what is ranked best and is not judged is often relevant.
        count: Most negatives of each kind a turn.
        keep_answers: Keep passages that hold a reference response word for word.
        earlier_gold: Take gold passages of earlier turns too.
    """

    depth: int = 100
    skip: int = 0
    count: int = 8
    keep_answers: bool = False
    earlier_gold: bool = False


@dataclass(slots=True)
class Mined:
    """What was found.

    Attributes:
        negatives: Turn id -> its negatives, earlier gold first, for every turn that has gold.
        excluded: Reason -> how many passages would have been taken but for it.
        without_gold: Turns that have no gold, so no negatives.
        without_ranking: Turns with gold that nothing was retrieved for.
    """

    negatives: dict[str, tuple[Negative, ...]] = field(default_factory=dict)
    excluded: Counter[Exclusion] = field(default_factory=Counter)
    without_gold: int = 0
    without_ranking: int = 0

    def counts(self, count: int) -> dict[str, Any]:
        """The numbers, as the file's header has them.

        Args:
            count: How many retrieved negatives a turn should have.
        """
        kinds = [[negative.kind for negative in each].count("retrieved") for each in self.negatives.values()]
        total = sum(map(len, self.negatives.values()))
        return {
            "turns": len(self.negatives),
            "turns_without_gold": self.without_gold,
            "turns_without_ranking": self.without_ranking,
            "turns_with_fewer": sum(retrieved < count for retrieved in kinds),
            "retrieved": sum(kinds),
            "earlier_gold": total - sum(kinds),
            "excluded": {reason: self.excluded[reason] for reason in EXCLUSIONS},
        }


def mine(conversations: Sequence[Conversation], records: Mapping[str, TurnRecord], store: PassageStore, rules: MiningRules) -> Mined:
    """Chooses the negatives of every turn that has gold.

    Args:
        conversations: The conversations.
        records: Turn id -> its ranking, canonical. A turn without one still gets earlier gold.
        store: The collection. Every ranked passage must be in it; a gold passage that it lacks is excluded by its id only.
        rules: Which passages are taken.

    Raises:
        DataError: A ranked passage is not in the collection.
    """
    mined = Mined()
    with progress_bar("negatives", sum(len(conversation.turns) for conversation in conversations)) as advance:
        for conversation in conversations:
            for number, turn in enumerate(conversation.turns):
                _mine_turn(turn, conversation.turns[:number], records.get(turn.id), store, rules, mined)
            advance(len(conversation.turns))
    return mined


def _mine_turn(
    turn: Turn, earlier: Sequence[Turn], record: TurnRecord | None, store: PassageStore, rules: MiningRules, mined: Mined
) -> None:
    if not turn.gold:
        mined.without_gold += 1
        return
    ranking = record.passages[: rules.depth] if record else ()
    mined.without_ranking += not ranking
    ranked = {id_: (rank, score) for rank, (id_, score) in enumerate(ranking, start=1)}
    choice = _Choice(turn, _known(turn.gold, store), keep_answers=rules.keep_answers)
    chosen: list[Negative] = []

    def take(passages: Iterable[Passage], kind: Kind) -> None:
        taken = choice.first(passages, rules.count)
        places = ((passage.id, ranked.get(passage.id, (None, None))) for passage in taken)
        chosen.extend(Negative(id_, rank, score, kind) for id_, (rank, score) in places)

    if rules.earlier_gold:
        take(_known(_earlier_gold(earlier), store), "earlier-gold")
    listed = {negative.id for negative in chosen}
    take((passage for passage in store.get([id_ for id_, _ in ranking[rules.skip :]]) if passage.id not in listed), "retrieved")
    mined.excluded += choice.excluded
    mined.negatives[turn.id] = tuple(chosen)


class _Choice:
    """Takes what is no negative out of passages on offer for one turn."""

    def __init__(self, turn: Turn, gold: Sequence[Passage], *, keep_answers: bool) -> None:
        self._turn = turn
        self._gold_texts = {passage_key(passage) for passage in gold}
        self._answers = [] if keep_answers else answers(turn)
        self._taken: set[str] = set()
        self.excluded: Counter[Exclusion] = Counter()

    def first(self, passages: Iterable[Passage], count: int) -> Iterator[Passage]:
        """The first ``count`` that are negatives; those after them are not looked at."""
        taken = 0
        for passage in passages:
            if taken == count:
                return
            if (reason := self._reason(passage)) is not None:
                self.excluded[reason] += 1
                continue
            self._taken.add(passage_key(passage))
            taken += 1
            yield passage

    def _reason(self, passage: Passage) -> Exclusion | None:
        if passage.id in self._turn.gold:
            return "gold"
        text = passage_key(passage)
        if text in self._gold_texts:
            return "copy"
        if text in self._taken:
            return "repeat"
        if self._answers and any(holds_words(plain_words(passage_text(passage)), answer) for answer in self._answers):
            return "answer"
        return None


def answers(turn: Turn) -> list[str]:
    """The reference responses of a turn as plain words, but for those that no passage can hold as an answer (``yes``, ``UNANSWERABLE``)."""
    if turn.labels.get("answerable") == "no":
        return []
    responses = [reference.text for reference in turn.references if reference.kind != "knowledge"]
    plain = {plain_words(text): None for text in responses if plain_words(text) not in _NO_ANSWERS}
    return [words for words in plain if words]


def _earlier_gold(earlier: Sequence[Turn]) -> list[str]:
    """Gold passages of earlier turns, those of the latest turn first, the best grade first."""
    by_turn = (sorted(turn.gold.items(), key=lambda graded: (-graded[1], graded[0])) for turn in reversed(earlier))
    return list(dict.fromkeys(id_ for graded in by_turn for id_, _ in graded))


def _known(ids: Iterable[str], store: PassageStore) -> list[Passage]:
    """The passages of those ids that the collection has, in their order."""
    asked = list(ids)
    return store.get([id_ for id_, row in zip(asked, store.rows(asked).tolist(), strict=True) if row >= 0])
