"""What is wrong, or worth knowing, about a dataset as it was read: its turns, its judgements and its collection together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from convbench.datasets.hash_sort import hash_texts, sorted_pairs
from convbench.datasets.store import PassageStore
from convbench.types import Conversation, Qrels, Turn

if TYPE_CHECKING:
    from numpy.typing import NDArray

Severity = Literal["error", "warning", "info"]
_Gold: TypeAlias = "dict[str, set[str]]"

_EXAMPLES = 5
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the audit found.

    Attributes:
        check: The check's name.
        severity: ``error`` (results would be wrong), ``warning`` (they may mislead), ``info`` (a fact to know).
        count: How many cases there are.
        message: One sentence that says what they are.
        examples: The first cases, at most five.
    """

    check: str
    severity: Severity
    count: int
    message: str
    examples: tuple[str, ...]


def audit(conversations: Sequence[Conversation], qrels: Qrels, store: PassageStore) -> list[Finding]:
    """Checks a dataset and its collection. Only what is found is listed, errors first.

    Passages count as gold where their grade is above 0. The collection is read once, as a stream; texts are compared by their 64-bit
    digests, sorted in files, so that memory stays bounded.

    Raises:
        StorageError: The folder for temporary files is full.
    """
    turns = [turn for conversation in conversations for turn in conversation.turns]
    gold: _Gold = {id_: {passage for passage, grade in grades.items() if grade > 0} for id_, grades in qrels.items()}
    findings = [
        _repeated_turn_ids(turns),
        _dangling_gold(gold, store),
        *_texts(store),
        _repeated_queries(conversations),
        _previous_gold(conversations, gold),
        _lacking("turns-without-gold", "gold passage: retrieval is not scored on them", turns, [t for t in turns if not gold.get(t.id)]),
        _lacking("turns-without-references", "reference: responses are not scored on them", turns, [t for t in turns if not t.references]),
        _lacking("turns-without-rewrite", "human rewrite", turns, [t for t in turns if t.rewrite is None]),
    ]
    return [finding for finding in findings if finding.count]


def _finding(check: str, severity: Severity, message: str, cases: Sequence[str]) -> Finding:
    return Finding(check, severity, len(cases), message, tuple(cases[:_EXAMPLES]))


def _lacking(check: str, what: str, turns: Sequence[Turn], without: Sequence[Turn]) -> Finding:
    return _finding(check, "info", f"{len(without)} of {len(turns)} turns have no {what}", [turn.id for turn in without])


def _repeated_turn_ids(turns: Sequence[Turn]) -> Finding:
    repeated = [id_ for id_, times in Counter(turn.id for turn in turns).items() if times > 1]
    message = f"{len(repeated)} turn ids are given to several turns: everything that is joined by id would be wrong"
    return _finding("repeated-turn-ids", "error", message, repeated)


def _dangling_gold(gold: _Gold, store: PassageStore) -> Finding:
    turn_of: dict[str, str] = {}
    for turn_id, passages in gold.items():
        for passage in sorted(passages):
            turn_of.setdefault(passage, turn_id)
    ids = list(turn_of)
    dangling = [f"{ids[i]} (gold of {turn_of[ids[i]]})" for i in np.flatnonzero(store.rows(ids) < 0).tolist()]
    message = f"{len(dangling)} of {len(ids)} gold passages are not in the collection: are both of the same release?"
    return _finding("dangling-gold", "error", message, dangling)


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
    return _finding("repeated-queries", "warning", message, repeated)


def _previous_gold(conversations: Sequence[Conversation], gold: _Gold) -> Finding:
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
    share = len(sharing) / later if later else 0.0
    message = (
        f"{len(sharing)} of {later} later turns with gold ({share:.0%}) share a gold passage with an earlier turn of their conversation: "
        "giving back the previous gold is a shortcut"
    )
    return _finding("previous-gold", "info", message, sharing)


def _texts(store: PassageStore) -> tuple[Finding, Finding]:
    """Empty and repeated texts: both come out of one pass and one sort, for all empty texts have one digest."""
    empty_digest = hash_texts([""])[0]
    empty, repeated = _Cases(), _Cases()
    with TemporaryDirectory() as scratch:
        for pairs in sorted_pairs(_text_hashes(store), len(store), Path(scratch) / "texts"):
            is_empty = pairs["hash"] == empty_digest
            starts = np.r_[True, pairs["hash"][1:] != pairs["hash"][:-1]]
            # Within a run of equal digests rows ascend: its first row is the passage that the others repeat.
            first_rows = pairs["row"][np.maximum.accumulate(np.where(starts, np.arange(len(pairs)), 0))]
            empty.add(pairs["row"][is_empty], first_rows[is_empty])
            repeated.add(pairs["row"][~is_empty & ~starts], first_rows[~is_empty & ~starts])
    no_text = f"{empty.count} of {len(store)} passages have no text"
    same_text = f"{repeated.count} of {len(store)} passages repeat the text of an earlier one: found in place of gold, they count as wrong"
    pairs_of_ids = tuple(" = ".join(store.ids(rows)) for rows in repeated.first)
    return (
        Finding("empty-passages", "warning", empty.count, no_text, tuple(store.ids([row for row, _ in empty.first]))),
        Finding("repeated-passages", "warning", repeated.count, same_text, pairs_of_ids),
    )


class _Cases:
    """Counts rows and keeps the first few, each with the row it repeats."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[tuple[int, int]] = []

    def add(self, rows: NDArray[Any], originals: NDArray[Any]) -> None:
        self.count += len(rows)
        order = np.argsort(rows)[:_EXAMPLES]
        self.first = sorted([*self.first, *zip(rows[order].tolist(), originals[order].tolist(), strict=True)])[:_EXAMPLES]


def _text_hashes(store: PassageStore) -> Iterator[NDArray[np.uint64]]:
    """Digests of the texts without outer blanks."""
    for start in range(0, len(store), _BLOCK):
        yield hash_texts(passage.text.strip() for passage in store.texts(start, start + _BLOCK))
