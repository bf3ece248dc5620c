"""What is wrong, or worth knowing, about a dataset as it was read: its turns, its judgements and its collection together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from convbench.datasets.finding import Finding, finding
from convbench.datasets.passage_checks import passage_findings
from convbench.datasets.plain_words import plain_words
from convbench.datasets.shortcuts import shortcuts
from convbench.datasets.store import PassageStore
from convbench.types import Conversation, Passage, Qrels, Turn


def gold_of(qrels: Qrels) -> dict[str, set[str]]:
    """Turn id -> its gold passages: those graded above 0."""
    return {turn_id: {passage for passage, grade in grades.items() if grade > 0} for turn_id, grades in qrels.items()}


def known_passages(gold: Mapping[str, set[str]], store: PassageStore) -> dict[str, Passage]:
    """The gold passages that are in the collection, by id."""
    ids = sorted({passage for passages in gold.values() for passage in passages})
    present = [id_ for id_, row in zip(ids, store.rows(ids).tolist(), strict=True) if row >= 0]
    return dict(zip(present, store.get(present), strict=True))


def audit(conversations: Sequence[Conversation], qrels: Qrels, store: PassageStore | None) -> list[Finding]:
    """Checks a dataset and its collection. Only what is found is listed, errors first.

    Args:
        conversations: The conversations.
        qrels: The judgements; passages count as gold where their grade is above 0.
        store: The collection, which is read once; None leaves out what needs passages.

    Raises:
        StorageError: The folder for temporary files is full.
    """
    turns = [turn for conversation in conversations for turn in conversation.turns]
    gold = gold_of(qrels)
    on_passages = passage_findings(qrels, gold, store) if store is not None else []
    findings = [
        _repeated_turn_ids(turns),
        *on_passages,
        _repeated_queries(conversations),
        _conflicting_labels(turns, gold),
        *shortcuts(conversations, gold, known_passages(gold, store) if store is not None else {}),
        _lacking("turns-without-gold", "gold passage: retrieval is not scored on them", turns, [t for t in turns if not gold.get(t.id)]),
        _lacking("turns-without-references", "reference: responses are not scored on them", turns, [t for t in turns if not t.references]),
        _lacking("turns-without-rewrite", "human rewrite", turns, [t for t in turns if t.rewrite is None]),
    ]
    order = ("error", "warning", "info")
    return sorted((found for found in findings if found.count), key=lambda found: order.index(found.severity))


def _lacking(check: str, what: str, turns: Sequence[Turn], without: Sequence[Turn]) -> Finding:
    return finding(check, "info", f"{len(without)} of {len(turns)} turns have no {what}", [turn.id for turn in without])


def _repeated_turn_ids(turns: Sequence[Turn]) -> Finding:
    repeated = [id_ for id_, times in Counter(turn.id for turn in turns).items() if times > 1]
    message = f"{len(repeated)} turn ids are given to several turns: everything that is joined by id would be wrong"
    return finding("repeated-turn-ids", "error", message, repeated)


def _repeated_queries(conversations: Sequence[Conversation]) -> Finding:
    repeated = []
    for conversation in conversations:
        seen: set[str] = set()
        for turn in conversation.turns:
            query = " ".join(turn.query.split()).casefold()
            if query in seen:
                repeated.append(turn.id)
            elif query:
                seen.add(query)
    message = f"{len(repeated)} turns repeat an earlier query of their conversation (case and blanks aside)"
    return finding("repeated-queries", "warning", message, repeated)


def _conflicting_labels(turns: Sequence[Turn], gold: Mapping[str, set[str]]) -> Finding:
    """Turns that nothing but their labels tells from an earlier one: the same question after the same history."""
    words: dict[str, str] = {}
    first: dict[tuple[str, ...], Turn] = {}
    conflicts = []
    for turn in turns:
        said = [text for exchange in turn.history for text in (exchange.query, exchange.response or "")]
        for text in (*said, turn.query):
            if text not in words:
                words[text] = plain_words(text)
        known = first.setdefault(tuple(words[text] for text in (*said, turn.query)), turn)
        if differing := _differing(known, turn, gold):
            conflicts.append(f"{turn.id} and {known.id}: {differing}")
    message = f"{len(conflicts)} turns ask the same after the same history as an earlier turn and are labelled otherwise"
    return finding("conflicting-labels", "warning", message, conflicts)


def _differing(one: Turn, other: Turn, gold: Mapping[str, set[str]]) -> str:
    """Names the labels that contradict one another; what one of the two lacks contradicts nothing."""
    golds = gold.get(one.id, set()), gold.get(other.id, set())
    answerable = one.labels.get("answerable"), other.labels.get("answerable")
    topics = one.topic, other.topic
    found = {
        "gold": all(golds) and golds[0].isdisjoint(golds[1]),
        "answerable": all(answerable) and answerable[0] != answerable[1],
        "topic": all(topics) and topics[0] != topics[1],
    }
    return ", ".join(name for name, differs in found.items() if differs)
