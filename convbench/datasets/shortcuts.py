"""Shortcuts: how often a system would find the gold passage, or the response, without understanding the question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from convbench.datasets.finding import Finding, finding
from convbench.datasets.plain_words import holds_words, plain_words
from convbench.types import Conversation, Passage, Turn


def shortcuts(conversations: Sequence[Conversation], gold: Mapping[str, set[str]], passages: Mapping[str, Passage]) -> list[Finding]:
    """Counts shortcuts; each is a fact to know of a dataset, not a fault.

    Args:
        conversations: The conversations.
        gold: Turn id -> its gold passages.
        passages: The gold passages whose texts are known, by id.
    """
    turns = [turn for conversation in conversations for turn in conversation.turns]
    titles = {id_: words for id_, passage in passages.items() if (words := plain_words(_article(passage)))}
    titles_of = {turn_id: {titles[id_] for id_ in ids if id_ in titles} for turn_id, ids in gold.items()}
    topics_of = {turn.id: {topic} for turn in turns if (topic := plain_words(turn.topic or ""))}
    return [
        _previous_gold(conversations, gold),
        _as_before(conversations, titles_of, "previous-title", "a gold passage with the title of the previous turn's"),
        _as_before(conversations, topics_of, "previous-topic", "the topic of the previous turn"),
        _title_in_query(turns, titles_of),
        _response_in_gold(turns, gold, passages),
        _frequent_gold(turns, gold),
    ]


def _article(passage: Passage) -> str:
    """The title without its section, as datasets join the two."""
    return passage.title.partition(" [SEP] ")[0]


def _share(part: Sequence[object], whole: int) -> str:
    return f"{len(part) / whole if whole else 0.0:.0%}"


def _previous_gold(conversations: Sequence[Conversation], gold: Mapping[str, set[str]]) -> Finding:
    sharing = []
    later = 0
    for conversation in conversations:
        seen: set[str] = set()
        for turn in conversation.turns:
            passages = gold.get(turn.id, set())
            later += bool(seen and passages)
            if seen & passages:
                sharing.append(turn.id)
            seen |= passages
    message = (
        f"{len(sharing)} of {later} later turns with gold ({_share(sharing, later)}) share a gold passage with an earlier turn of their "
        "conversation: giving back the previous gold is a shortcut"
    )
    return finding("previous-gold", "info", message, sharing)


def _as_before(conversations: Sequence[Conversation], values: Mapping[str, set[str]], check: str, what: str) -> Finding:
    """Turns that share a value with the turn just before them, among those where both have one."""
    same = []
    both = 0
    for conversation in conversations:
        for before, turn in zip(conversation.turns, conversation.turns[1:], strict=False):
            old, new = values.get(before.id), values.get(turn.id)
            both += bool(old and new)
            if old and new and old & new:
                same.append(turn.id)
    return finding(check, "info", f"{len(same)} of {both} turns where both are known ({_share(same, both)}) have {what}", same)


def _title_in_query(turns: Sequence[Turn], titles_of: Mapping[str, set[str]]) -> Finding:
    titled = [turn for turn in turns if titles_of.get(turn.id)]
    named = [turn.id for turn in titled if any(holds_words(plain_words(turn.query), title) for title in titles_of[turn.id])]
    share = f"{len(named)} of {len(titled)} turns with a titled gold passage ({_share(named, len(titled))})"
    return finding("title-in-query", "info", f"{share} name its title in the question", named)


def _response_in_gold(turns: Sequence[Turn], gold: Mapping[str, set[str]], passages: Mapping[str, Passage]) -> Finding:
    texts: dict[str, str] = {}
    answered, copied = 0, []
    for turn in turns:
        responses = [words for r in turn.references if r.kind != "knowledge" and (words := plain_words(r.text))]
        known = [id_ for id_ in gold.get(turn.id, ()) if id_ in passages]
        if not responses or not known or turn.labels.get("answerable") == "no":
            continue
        answered += 1
        for id_ in known:
            if id_ not in texts:
                texts[id_] = plain_words(passages[id_].text)
        if any(holds_words(texts[id_], response) for id_ in known for response in responses):
            copied.append(turn.id)
    message = (
        f"{len(copied)} of {answered} answered turns with gold text ({_share(copied, answered)}) have a reference that stands word for "
        "word in a gold passage: copying scores high"
    )
    return finding("response-in-gold", "info", message, copied)


def _frequent_gold(turns: Sequence[Turn], gold: Mapping[str, set[str]]) -> Finding:
    times = Counter(id_ for turn in turns for id_ in sorted(gold.get(turn.id, ())))
    if not times or (top := times.most_common(1)[0])[1] < 2:
        return finding("frequent-gold", "info", "", [])
    holders = [turn.id for turn in turns if top[0] in gold.get(turn.id, ())]
    judged = sum(bool(gold.get(turn.id)) for turn in turns)
    message = f"{len(holders)} of {judged} turns with gold ({len(holders) / judged:.1%}) have the most frequent gold passage, {top[0]}"
    return finding("frequent-gold", "info", message, holders)
