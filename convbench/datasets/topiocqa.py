"""TopiOCQA (Adlakha et al., TACL 2022): free-form answers, topic shifts, one gold passage a turn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from convbench.datasets.base import Collection, DatasetSource
from convbench.datasets.candidates import find_companion, find_corpus
from convbench.datasets.corpora import tsv_passages
from convbench.datasets.dpr_gold import DprGold, dpr_turn, is_dpr, passage
from convbench.datasets.files import find_one
from convbench.datasets.grouping import unique_passages
from convbench.datasets.turn_records import check_context, group_records
from convbench.errors import DataError, MissingFileError
from convbench.io.records import Record, read_lines_or_list
from convbench.types import Conversation, Exchange, Passage, Qrels, Reference, Turn, qrels_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

UNANSWERABLE = "UNANSWERABLE"
"""The literal answer of turns that the corpus does not answer; it stays a reference text."""

_TURNS = {
    "train": ("topiocqa_train.json", "topiocqa_train.jsonl"),
    "dev": ("topiocqa_dev.json", "topiocqa_dev.jsonl", "topiocqa_valid.json", "topiocqa_valid.jsonl"),
    "mini": ("topiocqa_mini.jsonl",),
}
_CORPUS = ("full_wiki_segments*.tsv",)


@dataclass(frozen=True, slots=True)
class _Row:
    """A turn as its record tells it, whatever the layout."""

    record: Record
    id: str
    question: str
    answers: tuple[str, ...]
    gold: Passage | None
    topic: str | None
    labels: Mapping[str, str]


class TopiOCQA:
    """Reads the first release, the later releases, the hub's files, and DPR-format files.

    Gold passages come from ``Gold_passage`` (hub), else from a DPR-format file below the root (``retriever/<variant>/<split>.json``);
    without either the turns have no judgements. A DPR-format file alone is enough: it holds questions, answers and gold passages.
    UNANSWERABLE turns have a gold passage like all others, but no topic in the first release.
    """

    name: ClassVar[str] = "topiocqa"
    splits: ClassVar[Mapping[str, str]] = {"train": "train", "dev": "dev", "valid": "dev", "validation": "dev", "mini": "mini"}
    default_split: ClassVar[str] = "dev"
    option_values: ClassVar[Mapping[str, Sequence[str]]] = {}

    def __init__(self, source: DatasetSource) -> None:
        self._source = source

    def files(self) -> tuple[Path, ...]:
        """The turns file, and the DPR-format file where gold passages come from one."""
        return (self._turns_file,) if self._gold_file is None else (self._turns_file, self._gold_file)

    def conversations(self) -> Iterator[Conversation]:
        """The split's conversations in file order."""
        for number, rows in self._rows():
            history = tuple(Exchange(row.id, row.question, row.answers[0]) for row in rows)
            turns = tuple(_turn(row, history[:index]) for index, row in enumerate(rows))
            yield Conversation(str(number), self.name, self._source.split, turns)

    def qrels(self) -> Qrels:
        """One gold passage a turn, grade 1."""
        return qrels_of([turn for conversation in self.conversations() for turn in conversation.turns])

    def collection(self) -> Collection:
        """The official TSV, else the split's gold passages."""
        if corpus := find_corpus(self._source, _CORPUS, "the TopiOCQA corpus"):
            return Collection("corpus", (corpus,), lambda: tsv_passages(corpus))
        if self._gold_file is None and not _has_gold(self._first):
            raise MissingFileError(f"{self._source.root}: no {_CORPUS[0]} and no gold passages that could stand in for it; set --corpus")
        return Collection("gold-union", self.files(), lambda: iter(unique_passages(self._gold_passages())))

    def retrieval_turn(self, turn: Turn) -> bool:
        """Every turn with a gold passage counts, UNANSWERABLE ones too."""
        return bool(turn.gold)

    @property
    def _dpr_pattern(self) -> str:
        return f"retriever/*/{self._source.split}.json"

    @cached_property
    def _turns_file(self) -> Path:
        root, names, what = self._source.root, _TURNS[self._source.split], f"TopiOCQA {self._source.split} turns"
        if found := find_companion(root, names, what) or find_companion(root, [self._dpr_pattern], what):
            return found
        return find_one(root, [*names, self._dpr_pattern], what)

    @cached_property
    def _first(self) -> Record:
        for record in read_lines_or_list(self._turns_file):
            return record
        raise DataError(self._turns_file, "holds no turns")

    @cached_property
    def _gold_file(self) -> Path | None:
        if _has_gold(self._first):
            return None
        return find_companion(self._source.root, [self._dpr_pattern], "TopiOCQA gold passages")

    @cached_property
    def _joined_gold(self) -> DprGold | None:
        return DprGold(self._gold_file) if self._gold_file else None

    def _rows(self) -> Iterator[tuple[int, list[_Row]]]:
        records = read_lines_or_list(self._turns_file)
        if is_dpr(self._first):
            if self._turns_file.parent.name.startswith("rewrites"):
                raise DataError(
                    self._turns_file, "holds rewrites, not the questions asked; take retriever/original or retriever/all_history"
                )
            for number, turns in group_records(records, "conv_id", "turn_id"):
                yield number, [_dpr_row(record, f"{number}_{n}") for n, record in enumerate(turns, 1)]
        else:
            for number, turns in group_records(records, "Conversation_no", "Turn_no"):
                rows = [self._raw_row(record, number, n) for n, record in enumerate(turns, 1)]
                _check_contexts(rows)
                yield number, rows

    def _raw_row(self, record: Record, conversation: int, number: int) -> _Row:
        question, answer = _text(record, "Question"), _text(record, "Answer")
        if _has_gold(self._first):
            gold: Passage | None = passage(record.record("Gold_passage"), "id")
        else:
            gold = self._joined_gold.gold(record, conversation, number, question) if self._joined_gold else None
        labels = {"answerable": _answerable(answer)}
        if "is_nq" in record.values:
            labels["is_nq"] = "yes" if record.get("is_nq", bool) else "no"
        if section := record.optional("Topic_section", str, ""):
            labels["section"] = section
        topic = record.optional("Topic", str, "") or None
        return _Row(record, f"{conversation}_{number}", question, (answer, *_additional(record)), gold, topic, labels)

    def _gold_passages(self) -> Iterator[tuple[Record, Passage]]:
        return ((row.record, row.gold) for _, rows in self._rows() for row in rows if row.gold is not None)


def _turn(row: _Row, history: tuple[Exchange, ...]) -> Turn:
    main, *more = row.answers
    references = (Reference(main), *(Reference(text, "additional") for text in more))
    gold = {row.gold.id: 1} if row.gold else {}
    return Turn(row.id, row.question, history, references, gold, topic=row.topic, labels=row.labels)


def _dpr_row(record: Record, turn_id: str) -> _Row:
    turn = dpr_turn(record)
    return _Row(record, turn_id, turn.question, turn.answers, turn.gold, None, {"answerable": _answerable(turn.answers[0])})


def _has_gold(record: Record) -> bool:
    return is_dpr(record) or "Gold_passage" in record.values


def _answerable(answer: str) -> str:
    return "no" if answer == UNANSWERABLE else "yes"


def _text(record: Record, field: str) -> str:
    text = record.get(field, str)
    if not text.strip():
        raise record.error(f"field {field!r} is empty")
    return text


def _additional(record: Record) -> list[str]:
    """``Additional_answers`` as a list of objects, or as the dict of lists that the hub's loader makes of it."""
    answers = record.values.get("Additional_answers")
    if not answers:
        return []
    if isinstance(answers, dict):
        return record.record("Additional_answers").strings("Answer")
    return [answer.get("Answer", str) for answer in record.records("Additional_answers")]


def _check_contexts(rows: Sequence[_Row]) -> None:
    """``Context`` must be the earlier questions and answers."""
    expected: list[tuple[str, str]] = []
    for number, row in enumerate(rows, 1):
        check_context(row.record, row.id, row.record.strings("Context"), expected)
        expected += ((f"question of turn {number}", row.question), (f"answer of turn {number}", row.answers[0]))
