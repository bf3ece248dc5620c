"""Collection and judgements together: passages without text, texts that stand under several ids, gold passages that are not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from convbench.datasets.finding import MOST_EXAMPLES, Finding, finding
from convbench.datasets.hash_sort import hash_texts, sorted_pairs
from convbench.datasets.store import PassageStore
from convbench.types import Qrels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 4096


def passage_findings(qrels: Qrels, gold: Mapping[str, set[str]], store: PassageStore) -> list[Finding]:
    """Checks a collection and its judgements. The collection is read once, as a stream.

    Texts are compared without outer blanks by their 64-bit digests, sorted in files, so that memory stays bounded.

    Raises:
        StorageError: The folder for temporary files is full.
    """
    judged = sorted({passage for grades in qrels.values() for passage in grades})
    rows = dict(zip(judged, store.rows(judged).tolist(), strict=True))
    texts = _compare_texts(store, np.array(sorted(row for row in rows.values() if row >= 0), dtype=np.int64))
    copies = {passage: texts.copies[row] for passage, row in rows.items() if row in texts.copies}
    return [
        _dangling_gold(gold, rows),
        *texts.findings(store),
        _repeated_gold(gold, copies, store),
        _conflicting_grades(qrels, copies),
    ]


class _Copies(NamedTuple):
    """The passages that have one text: the text's digest, how many they are, and the first two of their rows."""

    text: int
    number: int
    first: tuple[int, int]


@dataclass(slots=True)
class _Texts:
    """What one pass over the sorted digests gives: all empty texts have one digest, too."""

    empty: _Cases = field(default_factory=lambda: _Cases())
    repeated: _Cases = field(default_factory=lambda: _Cases())
    copies: dict[int, _Copies] = field(default_factory=dict)

    def findings(self, store: PassageStore) -> tuple[Finding, Finding]:
        """Empty and repeated texts."""
        no_text = f"{self.empty.count} of {len(store)} passages have no text"
        same_text = (
            f"{self.repeated.count} of {len(store)} passages repeat the text of an earlier one: found in place of gold, they count as wrong"
        )
        pairs_of_ids = tuple(" = ".join(store.ids(rows)) for rows in self.repeated.first)
        return (
            Finding("empty-passages", "warning", self.empty.count, no_text, tuple(store.ids([row for row, _ in self.empty.first]))),
            Finding("repeated-passages", "warning", self.repeated.count, same_text, pairs_of_ids),
        )


class _Cases:
    """Counts rows and keeps the first few, each with the row it repeats."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[tuple[int, int]] = []

    def add(self, rows: NDArray[Any], originals: NDArray[Any]) -> None:
        self.count += len(rows)
        order = np.argsort(rows)[:MOST_EXAMPLES]
        self.first = sorted([*self.first, *zip(rows[order].tolist(), originals[order].tolist(), strict=True)])[:MOST_EXAMPLES]


def _compare_texts(store: PassageStore, judged: NDArray[np.int64]) -> _Texts:
    """Compares all texts; the copies of ``judged`` rows (ascending) are kept."""
    empty_digest = hash_texts([""])[0]
    texts = _Texts()
    with TemporaryDirectory() as scratch:
        for pairs in sorted_pairs(_text_hashes(store), len(store), Path(scratch) / "texts"):
            is_empty = pairs["hash"] == empty_digest
            starts = np.r_[True, pairs["hash"][1:] != pairs["hash"][:-1]]
            places = np.flatnonzero(starts)
            group = np.cumsum(starts) - 1
            # Within a run of equal digests rows ascend: its first row is the passage that the others repeat.
            first_rows = pairs["row"][places[group]]
            texts.empty.add(pairs["row"][is_empty], first_rows[is_empty])
            texts.repeated.add(pairs["row"][~is_empty & ~starts], first_rows[~is_empty & ~starts])
            counts = np.diff(np.r_[places, len(pairs)])
            for at in np.flatnonzero((counts[group] > 1) & ~is_empty & np.isin(pairs["row"], judged)).tolist():
                start, number = int(places[group[at]]), int(counts[group[at]])
                pair = (int(pairs["row"][start]), int(pairs["row"][start + 1]))
                texts.copies[int(pairs["row"][at])] = _Copies(int(pairs["hash"][at]), number, pair)
    return texts


def _text_hashes(store: PassageStore) -> Iterator[NDArray[np.uint64]]:
    """Digests of the texts without outer blanks."""
    for start in range(0, len(store), _BLOCK):
        yield hash_texts(passage.text.strip() for passage in store.texts(start, start + _BLOCK))


def _dangling_gold(gold: Mapping[str, set[str]], rows: Mapping[str, int]) -> Finding:
    turn_of: dict[str, str] = {}
    for turn_id, passages in gold.items():
        for passage in sorted(passages):
            turn_of.setdefault(passage, turn_id)
    dangling = [f"{passage} (gold of {turn_id})" for passage, turn_id in turn_of.items() if rows[passage] < 0]
    message = f"{len(dangling)} of {len(turn_of)} gold passages are not in the collection: are both of the same release?"
    return finding("dangling-gold", "error", message, dangling)


def _repeated_gold(gold: Mapping[str, set[str]], copies: Mapping[str, _Copies], store: PassageStore) -> Finding:
    """Gold passages with a copy that is not gold of the same turn: whoever finds the copy is counted as wrong."""
    cases: dict[str, _Copies] = {}
    turns = 0
    for passages in gold.values():
        own = Counter(copies[passage].text for passage in passages if passage in copies)
        missed = sorted(passage for passage in passages if passage in copies and own[copies[passage].text] < copies[passage].number)
        turns += bool(missed)
        cases |= {passage: copies[passage] for passage in missed}
    shown = []
    for passage, copied in list(cases.items())[:MOST_EXAMPLES]:
        first, second = store.ids(copied.first)
        shown.append(f"{passage} = {second if first == passage else first}")
    message = (
        f"{len(cases)} gold passages of {turns} turns have a text that stands under other ids too, which are not gold there: whoever finds "
        "such a copy counts as wrong"
    )
    return Finding("repeated-gold", "warning", len(cases), message, tuple(shown))


def _conflicting_grades(qrels: Qrels, copies: Mapping[str, _Copies]) -> Finding:
    cases = []
    for turn_id, grades in qrels.items():
        known: dict[int, tuple[str, int]] = {}
        for passage, grade in grades.items():
            if passage not in copies:
                continue
            first, other = known.setdefault(copies[passage].text, (passage, grade))
            if other != grade:
                cases.append(f"{turn_id}: {first} {other}, {passage} {grade}")
    return finding("conflicting-grades", "warning", f"{len(cases)} judgements grade one text in two ways for one turn", cases)
