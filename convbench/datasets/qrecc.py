"""QReCC (Anantha et al., NAACL 2021): QuAC, Natural Questions and TREC CAsT conversations over 54 M web passages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from convbench.datasets.base import Collection, DatasetSource
from convbench.datasets.candidates import find_companion
from convbench.datasets.corpora import jsonl_passages
from convbench.datasets.files import find_one
from convbench.datasets.jsonl_corpus import find_jsonl_corpus
from convbench.datasets.qrecc_qrels import read_passage_judgements
from convbench.datasets.turn_records import check_context, group_records
from convbench.errors import DataError
from convbench.io.records import Record, read_list
from convbench.types import Conversation, Exchange, Qrels, Reference, Turn, qrels_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_TURNS = {
    "train": ("qrecc_train.json", "scai-qrecc21-training-turns.json"),
    "test": ("qrecc_test.json", "scai-qrecc21-test-turns.json"),
    "dev": ("dev-sampled2k-modified.json",),
    "mini": ("scai-qrecc21-mini-turns.json",),
    "toy": ("scai-qrecc21-toy-turns.json",),
}
_COLLECTION = ("commoncrawl/*.jsonl", "wayback/*.jsonl", "wayback-backfill/*.jsonl")


@dataclass(frozen=True, slots=True)
class _Row:
    """A turn as its record tells it, whatever the layout; an empty answer or rewrite is None."""

    record: Record
    conversation: int
    number: int
    question: str
    rewrite: str | None
    answer: str | None

    @property
    def id(self) -> str:
        return f"{self.conversation}_{self.number}"


class QReCC:
    """Reads the official files, SCAI-QReCC's turns, and InfoCQR's sample of cs-shortcut's dev cut (split ``dev``).

    Turn ids carry no split: train (and dev, which is cut from it) and test both number their conversations from 1, so ``442_2`` names
    different turns in different splits. History is built from the earlier records' questions and answers; ``Context`` holds the human
    rewrites of the questions and is only checked. An empty answer is no response and no reference (label ``answerable``: no).

    The ``dev`` file holds single turns, each with its own history, in which the first question is already replaced by its rewrite
    whatever ``first-question`` says; a conversation has just the sampled turns, by number.

    Gold passages: the turns' ``Truth_passages``, else a cs-shortcut/InfoCQR judgements file (``qrels_<split>.txt`` or ``qrels.txt``),
    else none.

    Options:
        first-question: ``asked``, or ``rewrite``: the first question is replaced by its rewrite (where it has one), in its own turn
            and in the history of later ones, as most papers do because QuAC's first questions need their article's title.
    """

    name: ClassVar[str] = "qrecc"
    splits: ClassVar[Mapping[str, str]] = {split: split for split in _TURNS}
    default_split: ClassVar[str] = "test"
    option_values: ClassVar[Mapping[str, Sequence[str]]] = {"first-question": ("asked", "rewrite")}

    def __init__(self, source: DatasetSource) -> None:
        self._source = source
        self._rewrite_first = source.options.get("first-question") == "rewrite"

    def files(self) -> tuple[Path, ...]:
        """The turns file, and the judgements file where gold passages come from one."""
        return (self._turns_file,) if self._qrels_file is None else (self._turns_file, self._qrels_file)

    def conversations(self) -> Iterator[Conversation]:
        """The split's conversations in file order."""
        sampled, judged = "NewContext" in self._first.values, 0
        for number, turns in self._sampled_turns() if sampled else self._complete_turns():
            judged += sum(bool(turn.gold) for turn in turns)
            yield Conversation(str(number), self.name, self._source.split, tuple(turns))
        if self._qrels_file and not judged:
            raise DataError(self._qrels_file, f"judges none of the turns of {self._turns_file}: is it of another split?")

    def qrels(self) -> Qrels:
        """The gold passages, grade 1."""
        return qrels_of([turn for conversation in self.conversations() for turn in conversation.turns])

    def collection(self) -> Collection:
        """The passages of the official folders, or of ``passages*.jsonl``."""
        files = find_jsonl_corpus(self._source, _COLLECTION, ("passages*.jsonl",), what="the QReCC passages")
        return Collection("corpus", files, lambda: jsonl_passages(files, id_field="id", text_field="contents"))

    def retrieval_turn(self, turn: Turn) -> bool:
        """Turns with a gold passage count (the 8,209 of the test split that the literature reports on)."""
        return bool(turn.gold)

    @cached_property
    def _turns_file(self) -> Path:
        return find_one(self._source.root, _TURNS[self._source.split], f"QReCC {self._source.split} turns")

    @cached_property
    def _first(self) -> Record:
        for record in read_list(self._turns_file):
            return record
        raise DataError(self._turns_file, "holds no turns")

    @cached_property
    def _qrels_file(self) -> Path | None:
        if "Truth_passages" in self._first.values:
            return None
        root, what = self._source.root, "QReCC judgements"
        return find_companion(root, [f"qrels_{self._source.split}.txt"], what) or find_companion(root, ["qrels.txt"], what)

    @cached_property
    def _judgements(self) -> Mapping[str, Mapping[str, int]]:
        return read_passage_judgements(self._qrels_file) if self._qrels_file else {}

    def _complete_turns(self) -> Iterator[tuple[int, list[Turn]]]:
        for number, records in group_records(read_list(self._turns_file), "Conversation_no", "Turn_no"):
            rows = [_row(record) for record in records]
            _check_contexts(rows)
            history = tuple(Exchange(row.id, self._query(row), row.answer, row.rewrite) for row in rows)
            yield number, [self._turn(row, history[:index]) for index, row in enumerate(rows)]

    def _sampled_turns(self) -> Iterator[tuple[int, list[Turn]]]:
        conversations: dict[int, dict[int, Turn]] = {}
        for record in read_list(self._turns_file):
            row = _row(record)
            turns = conversations.setdefault(row.conversation, {})
            if row.number in turns:
                raise record.error(f"turn {row.id} appears twice")
            turns[row.number] = self._turn(row, _written_history(row))
        for number, turns in conversations.items():
            yield number, [turns[n] for n in sorted(turns)]

    def _query(self, row: _Row) -> str:
        return row.rewrite if self._rewrite_first and row.number == 1 and row.rewrite else row.question

    def _turn(self, row: _Row, history: tuple[Exchange, ...]) -> Turn:
        record = row.record
        labels = {"answerable": "yes" if row.answer else "no"}
        for label, field in (("source", "Conversation_source"), ("answer_url", "Answer_URL")):
            if value := record.optional(field, str, ""):
                labels[label] = value
        references = (Reference(row.answer),) if row.answer else ()
        return Turn(row.id, self._query(row), history, references, self._gold(row), row.rewrite, labels=labels)

    def _gold(self, row: _Row) -> dict[str, int]:
        if "Truth_passages" in self._first.values:
            return dict.fromkeys(row.record.strings("Truth_passages"), 1)
        gold = dict(self._judgements.get(row.id, {}))
        if gold and row.answer is None:
            raise row.record.error(
                f"turn {row.id} has no answer but {len(gold)} gold passages in {self._qrels_file}: those judgements must be of another "
                f"split (train and test both number conversations from 1); name the right file qrels_{self._source.split}.txt"
            )
        return gold


def _row(record: Record) -> _Row:
    scai = "Truth_answer" in record.values or "Truth_rewrite" in record.values
    rewrite, answer = ("Truth_rewrite", "Truth_answer") if scai else ("Rewrite", "Answer")
    question = record.get("Question", str)
    if not question.strip():
        raise record.error("field 'Question' is empty")
    conversation, number = record.get("Conversation_no", int), record.get("Turn_no", int)
    return _Row(record, conversation, number, question, _filled(record, rewrite), _filled(record, answer))


def _filled(record: Record, field: str) -> str | None:
    text = record.get(field, str)
    return text if text.strip() else None


def _written_history(row: _Row) -> tuple[Exchange, ...]:
    """History as a sampled turn carries it: question, answer, question, answer ..., empty answers written as ``""``."""
    context = row.record.strings("NewContext")
    if len(context) != 2 * (row.number - 1):
        raise row.record.error(f"turn {row.id}: NewContext: expected {2 * (row.number - 1)} items, found {len(context)}")
    pairs = zip(context[::2], context[1::2], strict=True)
    return tuple(Exchange(f"{row.conversation}_{n}", query, answer or None) for n, (query, answer) in enumerate(pairs, 1))


def _check_contexts(rows: Sequence[_Row]) -> None:
    """``Context`` must be the earlier rewrites and answers; empty ones are not written, so it does not alternate."""
    expected: list[tuple[str, str]] = []
    for row in rows:
        check_context(row.record, row.id, [text for text in row.record.strings("Context") if text], expected)
        spoken = ((f"rewrite of turn {row.number}", row.rewrite), (f"answer of turn {row.number}", row.answer))
        expected += ((what, text) for what, text in spoken if text)
