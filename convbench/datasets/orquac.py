"""OR-QuAC: open-retrieval QuAC, from the preprocessed files, from QuAC's format, or from CANARD's rewrites."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from convbench.datasets.base import Collection, DatasetSource
from convbench.datasets.canard import read_canard
from convbench.datasets.candidates import find_companion, find_corpus, find_openings
from convbench.datasets.corpora import jsonl_passages
from convbench.datasets.files import find_one
from convbench.datasets.grouping import group_turns, unique_passages
from convbench.datasets.orquac_gold import locate_texts, name_texts, positive_evidences, read_qrels
from convbench.datasets.quac import answer_labels, read_quac, turn_id, with_main
from convbench.errors import DataError, MissingFileError
from convbench.io.jsonl import read_jsonl
from convbench.io.records import Record
from convbench.types import Conversation, Exchange, Grades, Passage, Qrels, Reference, Turn, qrels_of

_BLOCKS = ("all_blocks.txt", "all_blocks.jsonl", "*blocks*.jsonl")
_QRELS = ("qrels.txt", "qrels*.json")


def read_preprocessed(path: Path) -> Iterator[tuple[Record, Turn]]:
    """The turns of a preprocessed file, JSON lines whatever its name; the history is the written one."""
    rewrites: dict[str, str] = {}
    for line, value in read_jsonl(path):
        record = Record(path, value, line=line)
        id_ = turn_id(record, record.get("qid", str))
        question, answer = record.get("question", str), record.record("answer").get("text", str)
        rewrites[id_] = rewrite = record.get("rewrite", str)
        turn = Turn(id_, question, references=(Reference(answer),), rewrite=rewrite, labels=answer_labels(record, answer))
        if turn.number == 1 and question == rewrite:
            turn = replace(turn, labels={**turn.labels, "first_question_rewritten": "yes"})
        yield record, replace(turn, history=_written_history(record, turn, rewrites))


def _written_history(record: Record, turn: Turn, rewrites: Mapping[str, str]) -> tuple[Exchange, ...]:
    history = record.records("history")
    if len(history) != turn.number - 1:
        raise record.error(f"field 'history' has {len(history)} items, expected {turn.number - 1} for question {record.values['qid']}")
    ids = [f"{turn.conversation_id}_{n}" for n in range(1, turn.number)]
    return tuple(
        Exchange(id_, past.get("question", str), past.record("answer").get("text", str), rewrites.get(id_))
        for id_, past in zip(ids, history, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """One of the formats: file names (``{split}`` filled in), how such a file opens, and its reader."""

    patterns: tuple[str, ...]
    opening: re.Pattern[str]
    read: Callable[[Path], Iterator[tuple[Record, Turn]]]
    train_patterns: tuple[str, ...] = ()

    def names(self, split: str) -> list[str]:
        names = [pattern.format(split=split) for pattern in self.patterns]
        return [*names, *self.train_patterns] if split == "train" else names


_PREPROCESSED = _Layout(
    ("preprocessed/{split}.txt", "{split}.txt", "{split}.jsonl"),
    re.compile(r'\s*\{\s*"(?:qid|question|rewrite|history|answer|evidences|retrieval_labels|followup|yesno)"'),
    read_preprocessed,
    train_patterns=("*orquac_schema.jsonl",),
)
_QUAC = _Layout(("quac_format/{split}.txt", "{split}.txt", "{split}.json"), re.compile(r'\s*\{\s*"(?:data|version)"'), read_quac)
_CANARD = _Layout(("{split}.json",), re.compile(r'\s*\[\s*\{\s*"(?:History|QuAC_dialog_id|Question|Question_no|Rewrite)"'), read_canard)
_LAYOUTS = (_PREPROCESSED, _QUAC, _CANARD)


class ORQuAC:
    """The adapter of OR-QuAC (Qu et al. 2020).

    The first of these that is there is read: ``preprocessed/<split>.txt``, ``quac_format/<split>.txt``, CANARD's ``<split>.json``. Beside
    preprocessed files, the QuAC format adds the other human answers and the article's title, never its questions: the official first
    question is the rewrite (label ``first_question_rewritten``). Gold passages come from ``qrels.txt`` by question id, else from the
    evidences labelled 1.
    """

    name: ClassVar[str] = "orquac"
    splits: ClassVar[Mapping[str, str]] = {"train": "train", "dev": "dev", "validation": "dev", "test": "test", "mini": "mini"}
    default_split: ClassVar[str] = "test"
    option_values: ClassVar[Mapping[str, Sequence[str]]] = {}

    def __init__(self, source: DatasetSource) -> None:
        self.source = source

    def files(self) -> tuple[Path, ...]:
        """The dialogues, the human answers beside them, and the judgements, as far as they are there."""
        return tuple(path for path in (self._dialogues[1], self._answers_file, self._qrels_file) if path)

    def conversations(self) -> Iterator[Conversation]:
        """The split's dialogues in file order."""
        return group_turns(self.name, self.source.split, self._turns())

    def qrels(self) -> Qrels:
        """The gold passages, grade 1; turns whose gold passage is not known are left out."""
        return qrels_of([turn for _, turn in self._turns()])

    def collection(self) -> Collection:
        """The blocks, else the gold passages where the evidences hold the text of every one of them."""
        if blocks := self._blocks_file:
            return Collection("corpus", (blocks,), lambda: _blocks(blocks))
        passages = unique_passages(self._gold_passages())
        gold = {id_ for grades in self.qrels().values() for id_ in grades}
        if not gold or len(passages) < len(gold):
            known = f"only {len(passages)} of the {len(gold)} gold passages have a text in" if gold else "no gold passages are named in"
            lacking = f"{known} {self._dialogues[1].name}"
            raise MissingFileError(f"{self.source.root}: no {' or '.join(_BLOCKS)} (or .gz), and {lacking}; set --corpus")
        return Collection("gold-union", self.files(), lambda: iter(passages))

    def retrieval_turn(self, turn: Turn) -> bool:
        """Turns whose gold passage is known: officially all, CANNOTANSWER too."""
        return bool(turn.gold)

    @cached_property
    def _dialogues(self) -> tuple[_Layout, Path]:
        what = f"OR-QuAC {self.source.split} dialogues"
        for layout in _LAYOUTS:
            if path := self._find(layout, what):
                return layout, path
        names = dict.fromkeys(name for layout in _LAYOUTS for name in layout.names(self.source.split))
        path = find_one(self.source.root, tuple(names), what)
        raise DataError(path, "expected JSON lines with 'qid', an object with 'data' (QuAC) or a list with 'QuAC_dialog_id' (CANARD)")

    def _find(self, layout: _Layout, what: str) -> Path | None:
        names = layout.names(self.source.split)
        found = find_openings(self.source.root, names, layout.opening)
        if len(found) > 1:
            return find_one(self.source.root, names, what)  # the error that lists them
        return found[0] if found else None

    @cached_property
    def _answers_file(self) -> Path | None:
        return self._find(_QUAC, "OR-QuAC human answers") if self._dialogues[0] is _PREPROCESSED else None

    @cached_property
    def _qrels_file(self) -> Path | None:
        return find_companion(self.source.root, _QRELS, "OR-QuAC judgements")

    @cached_property
    def _blocks_file(self) -> Path | None:
        return find_corpus(self.source, _BLOCKS, "OR-QuAC blocks")

    def _turns(self) -> Iterator[tuple[Record, Turn]]:
        layout, path = self._dialogues
        human = {turn.id: turn for _, turn in read_quac(self._answers_file)} if self._answers_file else {}
        judged = False
        for record, turn in layout.read(path):
            answered = _with_answers(turn, human[turn.id]) if turn.id in human else turn
            gold = self._gold(record, turn.id)
            judged = judged or bool(gold)
            yield record, replace(answered, gold=gold)
        if layout is _PREPROCESSED and self._qrels_file and not judged:
            raise DataError(self._qrels_file, f"judges no question of {path.name}: is it of another split? point --data at one release")

    def _gold(self, record: Record, turn: str) -> Grades:
        if self._qrels_file:
            return self._judgements.get(turn, {})
        if self._dialogues[0] is not _PREPROCESSED:
            return {}
        ids = [self._evidence_ids.get(text) for text in positive_evidences(record)]
        if None in ids:
            raise record.error(f"the evidence labelled 1 is no block of {self._blocks_file}: give the whole corpus, or qrels.txt")
        return {id_: 1 for same_text in ids for id_ in same_text or ()}

    @cached_property
    def _judgements(self) -> Mapping[str, Grades]:
        return read_qrels(self._qrels_file) if self._qrels_file else {}

    @cached_property
    def _evidence_ids(self) -> Mapping[str, list[str]]:
        texts = [text for record, _ in read_preprocessed(self._dialogues[1]) for text in positive_evidences(record)]
        return locate_texts(texts, _blocks(self._blocks_file)) if self._blocks_file else name_texts(texts)

    def _gold_passages(self) -> Iterator[tuple[Record, Passage]]:
        """Gold passages with their texts: sure only where a turn has one of both."""
        if self._dialogues[0] is not _PREPROCESSED:
            return
        for record, turn in self._turns():
            texts = positive_evidences(record)
            if len(texts) == len(turn.gold) == 1:
                yield record, Passage(next(iter(turn.gold)), texts[0])


def _with_answers(turn: Turn, asked: Turn) -> Turn:
    """The turn with the other human answers of QuAC's turn, and its article's title."""
    main, *others = with_main(turn.references[0].text, [reference.text for reference in asked.references])
    return replace(turn, references=(Reference(main), *(Reference(text, "additional") for text in others)), topic=asked.topic)


def _blocks(path: Path) -> Iterator[Passage]:
    return jsonl_passages([path], id_field="id", text_field="text", title_field="title")
